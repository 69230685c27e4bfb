import { glob, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Stage } from "./stage.ts";

const LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1";

/** The wall clock of the processes that get its environment, which can jump while they run. Other clocks go on as ever. */
export class WallClock {
  readonly env: Record<string, string>;
  readonly #file: string;

  private constructor(file: string, library: string) {
    this.#file = file;
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  static async create(stage: Stage): Promise<WallClock> {
    const [library] = await Array.fromAsync(glob(LIBRARY));
    if (library === undefined) throw new Error("libfaketime is missing: scripts/ensure-test-tools installs it");
    const clock = new WallClock(join(await stage.folder("clock"), "offset"), library);
    await clock.jumpTo("+0");
    return clock;
  }

  /** An offset from the true time, such as `+1h`. */
  async jumpTo(offset: string): Promise<void> {
    // In one step: a process may look at any moment.
    await writeFile(`${this.#file}.new`, offset);
    await rename(`${this.#file}.new`, this.#file);
  }
}
