import { chownSync, writeFileSync } from "node:fs";
import { chmod, chown, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runnerIsRoot } from "./job-user.ts";
import { hostFault } from "./sandbox-error.ts";
import { type JobUser, MAX_SCRIPT_BYTES, type StepFile } from "./sandbox.ts";

/**
 * The runner's own folder beside the workspace: scripts for the steps to read, files for them to write. When steps run as
 * another user they can neither add, replace nor remove anything in it.
 */
export class StepFolder {
  readonly #host: string;
  readonly #inside: string;
  readonly #user: JobUser;
  #scripts = 0;

  constructor(host: string, inside: string, user: JobUser) {
    this.#host = host;
    this.#inside = inside;
    this.#user = user;
  }

  async make(): Promise<void> {
    await mkdir(this.#host, { mode: 0o755 });
    // The umask may have taken the bits that the job user needs.
    await chmod(this.#host, 0o755);
  }

  async createFile(name: string): Promise<StepFile> {
    return await this.#give(name, (path) => writeFile(path, "", { flag: "wx", mode: 0o600 }));
  }

  async createFolder(name: string): Promise<StepFile> {
    return await this.#give(name, (path) => mkdir(path, { mode: 0o700 }));
  }

  /**
   * Readable, not writable, for the step; the caller removes it with `removeFile` when the step ended. Written at once: a
   * small file on a local disk takes less time than a turn of the thread pool, and a step waits for it.
   */
  writeScript(script: string): StepFile {
    if (Buffer.byteLength(script) > MAX_SCRIPT_BYTES)
      throw new Error(`A step's script is over ${MAX_SCRIPT_BYTES} bytes.`);
    const file = this.#file(`.script-${++this.#scripts}.sh`);
    try {
      writeFileSync(file.host, script, { flag: "wx", mode: 0o640 });
      if (runnerIsRoot()) chownSync(file.host, 0, this.#user.gid);
    } catch (error) {
      throw hostFault(`cannot write the step's script ${file.host}`, error);
    }
    return file;
  }

  async removeFile(file: StepFile): Promise<void> {
    await rm(file.host, { force: true });
  }

  async #give(name: string, make: (path: string) => Promise<unknown>): Promise<StepFile> {
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$/.test(name)) throw new Error(`"${name}" is not a plain file name.`);
    const file = this.#file(name);
    try {
      await make(file.host);
      if (runnerIsRoot()) await chown(file.host, this.#user.uid, this.#user.gid);
    } catch (error) {
      throw hostFault(`cannot make what a step may write, ${file.host}`, error);
    }
    return file;
  }

  #file(name: string): StepFile {
    return { host: join(this.#host, name), inside: `${this.#inside}/${name}` };
  }
}
