import { tmpdir } from "node:os";
import { expect, it } from "vitest";
import type { RunEvent, Store, WriteTx } from "./store.ts";
import { addItem, addWorkspace, eventOf, itemIds, testMigrations } from "./test-schema.ts";
import { describeStore } from "./testing.ts";

const SERIALIZATION_FAILURE = "40001";
const DEADLOCK = "40P01";

/** Makes the server itself answer with an error of its choice. */
function raise(tx: WriteTx, code: string): Promise<number> {
  return tx.run(`do $$ begin raise exception 'on purpose' using errcode = '${code}'; end $$`);
}

async function endConnections(store: Store, condition: string): Promise<void> {
  await store.readSlow(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and ${condition}`,
  );
}

describeStore(
  "postgres",
  "the store",
  (open) => {
    it.each([SERIALIZATION_FAILURE, DEADLOCK])("repeats a unit after %s, keeping only its last try", async (code) => {
      const published: RunEvent[] = [];
      const store = await open({ onRunEvents: (events) => published.push(...events) });
      await addWorkspace(store, "w1");
      let tries = 0;
      const told: number[] = [];
      await store.write(async (tx) => {
        const current = ++tries;
        await tx.run("insert into items (id, number) values (?, ?)", [`try ${current}`, 0]);
        tx.record(eventOf("w1", `try ${current}`));
        tx.afterCommit(() => told.push(current));
        if (current < 4) await raise(tx, code);
      });
      expect(await itemIds(store)).toEqual(["try 4"]);
      expect(published).toMatchObject([{ id: 1, payload: { name: "try 4" } }]);
      expect(told).toEqual([4]);
    });

    it("gives up after the third repeat", async () => {
      const store = await open();
      let tries = 0;
      const unit = store.write((tx) => {
        tries += 1;
        return raise(tx, SERIALIZATION_FAILURE);
      });
      await expect(unit).rejects.toMatchObject({ code: "store-unavailable", status: 503 });
      expect(tries).toBe(4);
    });

    it("brings two units that lock each other out both to their end", async () => {
      const store = await open();
      await addItem(store, "a");
      await addItem(store, "b");
      let tries = 0;
      const increment = (ids: string[]) =>
        store.write(async (tx) => {
          tries += 1;
          for (const id of ids) {
            await tx.run("update items set number = number + 1 where id = ?", [id]);
            await tx.all("select pg_sleep(0.1)");
          }
        });
      await Promise.all([increment(["a", "b"]), increment(["b", "a"])]);
      expect(await store.read((tx) => tx.all("select number from items"))).toEqual([{ number: 2 }, { number: 2 }]);
      expect(tries).toBeGreaterThan(2);
    });

    it("reports once that the database is no longer its own", async () => {
      const lost = Promise.withResolvers<string>();
      const reasons: string[] = [];
      const store = await open({
        onLost: (reason) => {
          reasons.push(reason);
          lost.resolve(reason);
        },
      });
      await endConnections(store, "pid in (select pid from pg_locks where locktype = 'advisory')");
      expect(await lost.promise).toContain("reserves the database for this control plane was lost");
      await store.close();
      expect(reasons).toHaveLength(1);
    });

    it("survives the loss of the connection a unit runs on", async () => {
      const store = await open();
      const unit = store.write((tx) => tx.all("select pg_terminate_backend(pg_backend_pid())"));
      await expect(unit).rejects.toMatchObject({ code: "store-unavailable", status: 503 });
      await addItem(store, "a");
      expect(await itemIds(store)).toEqual(["a"]);
    });

    it("survives the loss of idle connections", async () => {
      const store = await open();
      await Promise.all(Array.from({ length: 10 }, (_, index) => addItem(store, String(index))));
      const idle = "pid <> pg_backend_pid() and pid not in (select pid from pg_locks where locktype = 'advisory')";
      await endConnections(store, idle);
      // A connection whose end has not been read yet may still be given to one unit each.
      await Promise.allSettled(Array.from({ length: 10 }, () => store.read((tx) => tx.all("select 1"))));
      expect(await itemIds(store)).toHaveLength(10);
    });

    it("keeps a bounded number of prepared statements", async () => {
      const store = await open();
      const prepared = await store.write(async (tx) => {
        for (const round of [1, 2]) {
          for (let index = 0; index < 400; index += 1) await tx.all(`select ? + ${index} as round`, [round]);
        }
        return tx.get<{ n: number }>("select count(*) as n from pg_prepared_statements");
      });
      expect(prepared?.n).toBe(300);
    });

    it("refuses to return a number it would have to round", async () => {
      const store = await open();
      const read = store.read((tx) => tx.all("select 9007199254740993::bigint as n"));
      await expect(read).rejects.toThrow("too large");
      expect(await store.read((tx) => tx.all("select 1 as n"))).toEqual([{ n: 1 }]);
    });

    it("says in words that the database cannot be reached", async () => {
      const place = { dataDir: tmpdir(), databaseUrl: "postgres://nobody:secret@127.0.0.1:1/none" };
      const refusal = open({ place });
      await expect(refusal).rejects.toThrow(/cannot be reached: .*ECONNREFUSED.*Check the address/);
      await expect(refusal).rejects.not.toThrow("secret");
    });
  },
  testMigrations,
);
