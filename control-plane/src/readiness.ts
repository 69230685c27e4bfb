import { statfs } from "node:fs/promises";
import type { DueLoop } from "./due-loop.ts";
import type { Clock } from "./store/clock.ts";
import { migrations } from "./store/migrations.ts";
import type { Store } from "./store/store.ts";

/** With less the next log or upload is refused, if not the next change. */
const FLOOR_BYTES = 16 * 1024 * 1024;
/** Strangers may ask; what they ask for is written to the disk at most so often. */
const WRITE_EVERY_MS = 1_000;

export interface ReadinessDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly dataDir: string;
  /** Those that runs wait for. */
  readonly loops: readonly Pick<DueLoop, "isBehind">[];
}

/** What has to hold for the server to do its work; each check rejects with the reason when it does not. */
export function readinessChecks({ store, clock, dataDir, loops }: ReadinessDeps): Record<string, () => Promise<void>> {
  let wroteAt = Number.NEGATIVE_INFINITY;
  let writing: Promise<void> = Promise.resolve();
  return {
    database: () => store.read(async (tx) => void (await tx.get("select 1 as one"))),
    writes: () => {
      if (clock.monotonic() - wroteAt >= WRITE_EVERY_MS) {
        wroteAt = clock.monotonic();
        writing = writeOnce(store);
        writing.catch(() => {});
      }
      return writing;
    },
    migrations: async () => {
      const known = migrations.at(-1)?.version ?? 0;
      const row = await store.read((tx) =>
        tx.get<{ version: number }>("select max(version) as version from schema_info"),
      );
      if ((row?.version ?? 0) < known) throw new Error(`schema version ${row?.version}, expected ${known}`);
    },
    disk: async () => {
      const { bavail, bsize } = await statfs(dataDir);
      const free = bavail * bsize;
      if (free < FLOOR_BYTES) throw new Error(`${free} bytes are free, expected at least ${FLOOR_BYTES}`);
    },
    scheduler: async () => {
      if (loops.some((loop) => loop.isBehind())) throw new Error("what is due is not being done");
    },
  };
}

/** Goes the whole way of a change to the disk and changes nothing. */
async function writeOnce(store: Store): Promise<void> {
  await store.write((tx) =>
    tx.run("update schema_info set applied_at = applied_at where version = (select max(version) from schema_info)"),
  );
}
