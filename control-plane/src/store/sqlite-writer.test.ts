import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SqliteConnection } from "./sqlite-connection.ts";
import { databasePath } from "./sqlite-files.ts";
import { openSqlite, type SqliteStore } from "./sqlite.ts";
import { MAX_WAITING, type RunEvent } from "./store.ts";
import { addItem, addWorkspace, eventOf, itemIds, testMigrations } from "./test-schema.ts";

const run = promisify(execFile);

const PAGE_BYTES = 4_096;

describe("the writer of SQLite", () => {
  let dataDir: string;
  let store: SqliteStore;
  let published: RunEvent[];

  async function openIn(folder: string): Promise<SqliteStore> {
    return openSqlite({
      dataDir: folder,
      migrations: testMigrations,
      onRunEvents: (events) => published.push(...events),
      log: pino({ level: "silent" }),
    });
  }

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "shipfox-writer-"));
    published = [];
    store = await openIn(dataDir);
  });

  afterEach(async () => {
    await store.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  function addRecorded(id: string): Promise<void> {
    return store.write(async (tx) => {
      await tx.run("insert into items (id, number) values (?, ?)", [id, 0]);
      tx.record(eventOf("w1"));
    });
  }

  /** Breaks a deferred constraint, which SQLite finds out at the commit. */
  function addOrphan(): Promise<number> {
    return store.write((tx) => tx.run("insert into children (parent_id) values (?)", ["nobody"]));
  }

  function addLarge(id: string, bytes: number): Promise<number> {
    return store.write((tx) => {
      tx.record(eventOf("w1"));
      return tx.run("insert into items (id, number, data) values (?, ?, ?)", [id, 0, new Uint8Array(bytes)]);
    });
  }

  it("commits the units of one turn together, at most 64 at once", async () => {
    await Promise.all(Array.from({ length: 200 }, (_, index) => addItem(store, String(index))));
    expect(store.counters).toEqual({ commits: 4, units: 200 });
  });

  it("rejects every unit of a commit that failed, publishes nothing, and works on", async () => {
    await addWorkspace(store, "w1");
    const told: string[] = [];
    const units = [
      addRecorded("a"),
      addOrphan(),
      store.write(async (tx) => {
        tx.afterCommit(() => told.push("never"));
      }),
    ];
    for (const outcome of await Promise.allSettled(units)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "store-unavailable", status: 503 } });
    }
    expect({ published, told, ids: await itemIds(store) }).toEqual({ published: [], told: [], ids: [] });
    await addRecorded("b");
    expect(published.map((event) => event.id)).toEqual([1]);
    expect(await itemIds(store)).toEqual(["b"]);
  });

  it("answers 507 when the database is full, keeps what was acknowledged, and runs the units behind it", async () => {
    await addWorkspace(store, "w1");
    await addRecorded("kept");
    const [pages] = await store.read((tx) => tx.all<{ page_count: number }>("pragma page_count"));
    await store.write((tx) => tx.all(`pragma max_page_count = ${(pages?.page_count ?? 0) + 8}`));
    const outcomes = await Promise.allSettled([
      addRecorded("before"),
      addLarge("large", 100 * PAGE_BYTES),
      addRecorded("after"),
    ]);
    expect(outcomes[1]).toMatchObject({ status: "rejected", reason: { code: "storage-full", status: 507 } });
    const kept = ["kept", "before", "after"].filter(
      (_, index) => index === 0 || outcomes[(index - 1) * 2]?.status === "fulfilled",
    );
    expect(await itemIds(store)).toEqual(kept.sort());
    expect(outcomes[2]?.status).toBe("fulfilled");
    expect(published.map((event) => event.id)).toEqual(kept.map((_, index) => index + 1));
  });

  it.runIf(process.getuid?.() === 0 && process.platform === "linux")(
    "survives a full disk: 507 for what did not fit, nothing lost of what did, and service when there is room again",
    async () => {
      const disk = await mkdtemp(join(tmpdir(), "shipfox-disk-"));
      await run("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]);
      try {
        const ballast = join(disk, "ballast");
        await writeFile(ballast, new Uint8Array(1024 * 1024));
        const small = await openIn(join(disk, "data"));
        try {
          await addWorkspace(small, "w1");
          const acknowledged: string[] = [];
          let failure: unknown;
          for (let index = 100; failure === undefined && index < 1_000; index += 1) {
            const unit = small.write(async (tx) => {
              await tx.run("insert into items (id, number, data) values (?, ?, ?)", [
                `${index}`,
                0,
                new Uint8Array(50_000),
              ]);
              tx.record(eventOf("w1"));
            });
            await unit.then(
              () => acknowledged.push(`${index}`),
              (error: unknown) => (failure = error),
            );
          }
          expect(failure).toMatchObject({ code: "storage-full" });
          expect(await itemIds(small)).toEqual(acknowledged);
          expect(published).toHaveLength(acknowledged.length);
          await rm(ballast);
          await addItem(small, "room again");
          expect(await itemIds(small)).toEqual([...acknowledged, "room again"]);
        } finally {
          await small.close();
        }
      } finally {
        await run("umount", [disk]);
        await rm(disk, { recursive: true });
      }
    },
  );

  it("answers 503 while a foreign program holds the database, and keeps nothing of it", async () => {
    const foreign = new SqliteConnection(databasePath(dataDir), "read-write");
    foreign.control("begin immediate");
    await expect(addItem(store, "a")).rejects.toMatchObject({ code: "store-unavailable", status: 503 });
    foreign.close();
    await addItem(store, "b");
    expect(await itemIds(store)).toEqual(["b"]);
  });

  it("refuses more than its queue holds, at once", async () => {
    const units = Array.from({ length: MAX_WAITING + 1 }, (_, index) => addItem(store, String(index)));
    await expect(units.at(-1)).rejects.toMatchObject({ code: "overloaded", status: 503 });
    await Promise.allSettled(units);
    expect(await itemIds(store)).toHaveLength(MAX_WAITING);
  });

  it("lets the event loop turn between two commits", async () => {
    let turns = 0;
    let counting = true;
    const turn = () => {
      turns += 1;
      if (counting) setImmediate(turn);
    };
    setImmediate(turn);
    await Promise.all(Array.from({ length: 640 }, (_, index) => addItem(store, String(index))));
    counting = false;
    expect(turns).toBeGreaterThanOrEqual(store.counters.commits - 1);
  });
});
