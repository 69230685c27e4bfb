import { readFile, rename, writeFile } from "node:fs/promises";
import { z } from "zod";

const recordSchema = z.object({
  /** As it was pulled. */
  reference: z.string(),
  /** Content address at the time: a name that means another image by now is not ours to remove. */
  id: z.string(),
  sizeBytes: z.number(),
  /** Wall clock, milliseconds: it must outlive restarts. */
  usedAt: z.number(),
});
export type ImageRecord = z.infer<typeof recordSchema>;
const fileSchema = z.array(recordSchema);

export interface GarbageRules {
  /** Images that no job used for so long go; null keeps them whatever their age. */
  maxAgeMs: number | null;
  /** While the images together are larger, the one that was unused longest goes; null for no bound. */
  maxBytes: number | null;
}

/** A job that was just promised an image may not have started its container yet. */
const MIN_REST_MS = 30 * 60_000;

/** Which images go, the longest unused first. */
export function decideGarbage(records: readonly ImageRecord[], rules: GarbageRules, now: number): ImageRecord[] {
  const oldestFirst = [...records].sort((a, b) => a.usedAt - b.usedAt);
  let bytes = records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return oldestFirst.filter((record) => {
    const isOld = rules.maxAgeMs !== null && now - record.usedAt > rules.maxAgeMs;
    const isTooMuch = rules.maxBytes !== null && bytes > rules.maxBytes;
    if (now - record.usedAt < MIN_REST_MS || !(isOld || isTooMuch)) return false;
    bytes -= record.sizeBytes;
    return true;
  });
}

/** The images that this runner pulled, in a file of its state folder: what others brought here is not in it. */
export class ImageRecords {
  readonly #file: string;
  #records: Map<string, ImageRecord> | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(file: string) {
    this.#file = file;
  }

  async all(): Promise<ImageRecord[]> {
    return [...(await this.#loaded()).values()];
  }

  /** Serialised, so that two changes do not overwrite each other; the file is whole after a crash. */
  async change(edit: (records: Map<string, ImageRecord>) => void): Promise<void> {
    const work = this.#turn.then(async () => {
      const records = await this.#loaded();
      edit(records);
      await writeFile(`${this.#file}.new`, JSON.stringify([...records.values()]), { mode: 0o600 });
      await rename(`${this.#file}.new`, this.#file);
    });
    this.#turn = work.catch(() => {});
    await work;
  }

  /** A file that is missing or damaged counts as empty: then nothing is removed that it would have named. */
  async #loaded(): Promise<Map<string, ImageRecord>> {
    if (this.#records !== null) return this.#records;
    const text = await readFile(this.#file, "utf8").catch(() => "[]");
    let parsed: ImageRecord[] = [];
    try {
      parsed = fileSchema.parse(JSON.parse(text));
    } catch {
      parsed = [];
    }
    this.#records ??= new Map(parsed.map((record) => [record.reference, record]));
    return this.#records;
  }
}
