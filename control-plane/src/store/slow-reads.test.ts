import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SlowReads } from "./slow-reads.ts";
import { SqliteConnection } from "./sqlite-connection.ts";

const TIMEOUT_MS = 500;

/** Takes SQLite a second or more, several times the deadline, without touching a table. */
const LONG = "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?) select count(*) as n from n";
const LONG_ROWS = 20_000_000;

describe("slow reads of SQLite", () => {
  let folder: string;
  let reads: SlowReads;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "shipfox-slow-reads-"));
    const path = join(folder, "test.db");
    new SqliteConnection(path, "read-write").close();
    reads = new SlowReads(path, TIMEOUT_MS);
  });

  afterEach(async () => {
    await reads.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("are given up at their deadline, and served again once the statement has ended", async () => {
    await expect(reads.run(LONG, [LONG_ROWS])).rejects.toMatchObject({ code: "store-unavailable", status: 503 });
    await expect(reads.run("select 1", [])).rejects.toThrow("still runs");
    const served = () => reads.run("select 1 as n", []);
    await expect.poll(served).toEqual([{ n: 1 }]);
  });
});
