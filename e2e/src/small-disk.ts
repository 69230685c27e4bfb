import { open, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import type { Stage } from "./stage.ts";

const FILLER = "filler";

/** A folder on a file system of its own that can be filled to the last byte. Needs root. */
export class SmallDisk {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async mount(stage: Stage, bytes: number): Promise<SmallDisk> {
    const folder = await stage.folder("disk");
    await execa("/bin/mount", ["-t", "tmpfs", "-o", `size=${bytes},mode=711`, "tmpfs", folder]);
    stage.onEnd(() => execa("/bin/umount", ["--lazy", folder]));
    return new SmallDisk(folder);
  }

  /** Takes all the room that is left. */
  async fill(): Promise<void> {
    const { bavail, bsize } = await statfs(this.folder);
    const file = await open(join(this.folder, FILLER), "a");
    try {
      for (const block of [Buffer.alloc(bavail * bsize), Buffer.alloc(bsize), Buffer.alloc(1)]) {
        await file.writeFile(block).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== "ENOSPC") throw error;
        });
      }
    } finally {
      await file.close();
    }
  }

  /** Gives the room back. */
  async free(): Promise<void> {
    await rm(join(this.folder, FILLER), { force: true });
  }
}
