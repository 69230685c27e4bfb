import { randomUUID } from "node:crypto";
import { chown, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ProviderError } from "../driver.ts";

const MAX_RECORD_BYTES = 64 * 1024;
/** A folder that is being made or removed longer than this was left by a process that died. */
const LEFTOVER_MS = 10 * 60_000;
const INSTANCE_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;
const TAKEN: ReadonlySet<string> = new Set(["EEXIST", "ENOTEMPTY"]);

const recordSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  tags: z.object({ controller: z.string(), pool: z.string(), instance: z.string() }),
  template_key: z.string(),
  memory_mib: z.number(),
  created_at: z.string(),
});
/** What stands beside a machine's disk, so that it is found again by whatever process comes later. */
export type MachineRecord = z.infer<typeof recordSchema>;

/** One folder for each machine: `record.json`, which only we can write, and `run`, where QEMU works under its own user. */
export class MachineFolders {
  readonly #machines: string;
  readonly #pending: string;

  private constructor(machines: string, pending: string) {
    this.#machines = machines;
    this.#pending = pending;
  }

  /** Makes what is missing in `stateDir` and removes what a process that died had begun to make or to remove. */
  static async open(stateDir: string): Promise<MachineFolders> {
    const folders = new MachineFolders(join(stateDir, "machines"), join(stateDir, "pending"));
    for (const folder of [folders.#machines, folders.#pending]) await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(folders.#pending)) {
      const left = join(folders.#pending, name);
      if (Date.now() - (await stat(left)).mtimeMs > LEFTOVER_MS) await rm(left, { recursive: true, force: true });
    }
    return folders;
  }

  /** Where QEMU runs; by this path its processes are told apart. */
  runFolder(id: string): string {
    return join(this.#machines, id, "run");
  }

  /**
   * Makes the folder of a machine with its record in one step: no other process sees it half made. False when there is one with this
   * instance already, which is left as it is. `owner` gets the working folder.
   */
  async add(record: MachineRecord, owner: { uid: number; gid: number } | null): Promise<boolean> {
    const folder = await this.#pendingFolder(record.tags.instance);
    try {
      const run = join(folder, "run");
      await mkdir(run, { mode: 0o700 });
      if (owner !== null) await chown(run, owner.uid, owner.gid);
      await writeDurably(join(folder, "record.json"), JSON.stringify(record));
      await rename(folder, join(this.#machines, machineId(record.tags.instance)));
      await syncFolder(this.#machines);
      return true;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      if (TAKEN.has((error as NodeJS.ErrnoException).code ?? "")) return false;
      throw error;
    }
  }

  async ids(): Promise<string[]> {
    return (await readdir(this.#machines)).sort();
  }

  /** Null when there is no such machine; `unreadable` when its record is broken. */
  async read(id: string): Promise<MachineRecord | "unreadable" | null> {
    if (!INSTANCE_PATTERN.test(id)) return null;
    try {
      const file = join(this.#machines, id, "record.json");
      if ((await stat(file)).size > MAX_RECORD_BYTES) return "unreadable";
      const parsed = recordSchema.safeParse(parsedJson(await readFile(file, "utf8")));
      return parsed.success ? parsed.data : "unreadable";
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  /** Removes the folder of a machine none of whose processes is left; out of the lists at once, the files after it. */
  async remove(id: string): Promise<void> {
    const folder = await this.#pendingFolder(id);
    try {
      await rename(join(this.#machines, id), join(folder, "removed"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    await rm(folder, { recursive: true, force: true });
  }

  async #pendingFolder(id: string): Promise<string> {
    const folder = join(this.#pending, `${machineId(id)}.${randomUUID()}`);
    await mkdir(folder, { mode: 0o700 });
    return folder;
  }
}

/** The id under which a machine is known here; the instance id is one of its own. Rejects what could not be a file's name. */
export function machineId(instance: string): string {
  if (INSTANCE_PATTERN.test(instance)) return instance;
  throw new ProviderError("refused", `"${instance}" is no instance id that can name a folder`);
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function writeDurably(file: string, text: string): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
