import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Stage } from "./stage.ts";

/** What the steps of a runner with the host sandbox wait for until the test lets them go on. */
export class Gate {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  static async create(stage: Stage): Promise<Gate> {
    const folder = await stage.folder("gate");
    // The steps of a runner that is root are another user's.
    await chmod(folder, 0o755);
    return new Gate(join(folder, "open"));
  }

  /** A condition for the shell: true once the gate is open. */
  get isOpen(): string {
    return `[ -e ${this.#path} ]`;
  }

  /** A command for the shell that ends once the gate is open. */
  get wait(): string {
    return `until ${this.isOpen}; do sleep 0.05; done`;
  }

  async open(): Promise<void> {
    await writeFile(this.#path, "");
  }

  async close(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}
