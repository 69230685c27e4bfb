import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { build } from "./build.ts";
import { ConstraintError, StoreError, UnitError } from "./errors.ts";
import { replaceNul } from "./sql-values.ts";
import type { SqlValue, WriteTx } from "./store.ts";
import { addItem, addWorkspace, itemIds, testMigrations } from "./test-schema.ts";
import { describeStores } from "./testing.ts";

describeStores(
  "store",
  (open, { dialect }) => {
    it("keeps what a unit wrote and returns its result", async () => {
      const store = await open();
      const changed = await store.write(async (tx) => {
        await tx.run("insert into items (id, number) values (?, ?), (?, ?)", ["a", 1, "b", 2]);
        return tx.run("update items set number = number + ?", [10]);
      });
      expect(changed).toBe(2);
      const query = store.read((tx) => tx.all("select id, number from items order by id"));
      expect(await query).toEqual([
        { id: "a", number: 11 },
        { id: "b", number: 12 },
      ]);
    });

    it("runs a unit again with a value that is computed outside, and keeps nothing of the first try", async () => {
      const store = await open();
      const asked: string[] = [];
      const compute = (key: string) => () => {
        asked.push(key);
        return Promise.resolve(`${key}!`);
      };
      const unit = async (tx: WriteTx) => {
        await tx.run("insert into items (id, number) values (?, 1)", ["a"]);
        const first = tx.outside("one", compute("one"));
        return [first, tx.outside("two", compute("two")), tx.outside("one", compute("one"))];
      };
      expect(await store.write(unit)).toEqual(["one!", "two!", "one!"]);
      expect(asked).toEqual(["one", "two"]);
      expect(await itemIds(store)).toEqual(["a"]);
    });

    it("keeps nothing of a unit whose value cannot be computed, also when the unit catches that it ended", async () => {
      const store = await open();
      const unit = async (tx: WriteTx) => {
        await tx.run("insert into items (id, number) values (?, 1)", ["a"]);
        try {
          tx.outside("one", () => Promise.reject(new Error("it takes too long")));
        } catch {
          return "went on";
        }
      };
      await expect(store.write(unit)).rejects.toThrow("it takes too long");
      expect(await itemIds(store)).toEqual([]);
    });

    it("tells by its version whether something was committed, where nobody else writes", async () => {
      const store = await open();
      const versions = [store.version];
      await store.read((tx) => tx.all("select id from items"));
      versions.push(store.version);
      await store
        .write(async () => {
          throw new Error("changed my mind");
        })
        .catch(() => undefined);
      versions.push(store.version);
      await addItem(store, "a");
      versions.push(store.version);
      const [first] = versions;
      if (first === null || first === undefined)
        expect([dialect, ...versions]).toEqual(["postgres", null, null, null, null]);
      else expect([dialect, ...versions]).toEqual(["sqlite", first, first, first, first + 1]);
    });

    it("takes queries made with build", async () => {
      const store = await open();
      await addWorkspace(store, "w1");
      const renamed = await store.write((tx) =>
        tx.row(build.updateTable("workspaces").set({ name: "New?" }).where("id", "=", "w1").returning(["id", "name"])),
      );
      expect(renamed).toEqual({ id: "w1", name: "New?" });
      const changed = store.write((tx) => tx.exec(build.deleteFrom("workspaces").where("name", "in", ["New?", "x"])));
      expect(await changed).toBe(1);
      expect(await store.read((tx) => tx.rows(build.selectFrom("workspaces").select("id")))).toEqual([]);
    });

    it("returns numbers, bytes and conditions alike on both dialects", async () => {
      const store = await open();
      const time = 1_790_000_000_000;
      const row = await store.write(async (tx) => {
        await tx.run("insert into items (id, number, data) values (?, ?, ?)", [
          "é\u{1F98A}",
          time,
          new Uint8Array([0, 255]),
        ]);
        return tx.get<{ data: Uint8Array }>(
          "select id, number, data, number > 5 as large, (select count(*) from items) as n, (select sum(number) from items) as total from items",
        );
      });
      expect(row).toMatchObject({ id: "é\u{1F98A}", number: time, large: 1, n: 1, total: time });
      expect([...(row?.data ?? [])]).toEqual([0, 255]);
    });

    it("refuses values that only one of the databases would take", async () => {
      const store = await open();
      const values = [true, undefined, Number.NaN, {}] as unknown as SqlValue[];
      for (const value of values) {
        const unit = store.write((tx) => tx.run("update items set number = ?", [value]));
        await expect(unit).rejects.toThrow(UnitError);
      }
      const nul = store.write((tx) => tx.run("update items set id = ?", ["a\0b"]));
      await expect(nul).rejects.toMatchObject({ code: "validation-error", status: 400 });
      await addItem(store, replaceNul("a\0b"));
      expect(await itemIds(store)).toEqual(["a\uFFFDb"]);
    });

    it("names the constraint that a statement broke", async () => {
      const store = await open();
      await addItem(store, "a");
      await expect(addItem(store, "a")).rejects.toMatchObject({ kind: "unique", table: "items", columns: ["id"] });
      const withoutNumber = store.write((tx) => tx.run("insert into items (id) values (?)", ["b"]));
      await expect(withoutNumber).rejects.toMatchObject({ kind: "not-null", table: "items", columns: ["number"] });
      const orphan = store.write((tx) =>
        tx.run(
          "insert into memberships (id, user_id, workspace_id, role, created_at, updated_at) values (?, ?, ?, ?, 0, 0)",
          ["m", "nobody", "nowhere", "owner"],
        ),
      );
      await expect(orphan).rejects.toThrow(ConstraintError);
    });

    it("rolls back a unit that throws, and only that one", async () => {
      const store = await open();
      const outcomes = await Promise.allSettled(
        Array.from({ length: 20 }, (_, index) =>
          store.write(async (tx) => {
            await tx.run("insert into items (id, number) values (?, ?)", [String(index).padStart(2, "0"), index]);
            if (index % 2 === 1) throw new Error(`unit ${index}`);
          }),
        ),
      );
      expect(outcomes.filter(({ status }) => status === "rejected")).toHaveLength(10);
      expect(await itemIds(store)).toEqual(["00", "02", "04", "06", "08", "10", "12", "14", "16", "18"]);
    });

    it("keeps nothing of a unit whose statement failed, even when the unit goes on", async () => {
      const store = await open();
      await addItem(store, "a");
      const unit = store.write(async (tx) => {
        await tx.run("insert into items (id, number) values (?, ?)", ["b", 0]);
        await tx.run("insert into items (id, number) values (?, ?)", ["a", 0]).catch(() => undefined);
        return "pretends";
      });
      await expect(unit).rejects.toThrow(ConstraintError);
      expect(await itemIds(store)).toEqual(["a"]);
    });

    it("refuses a unit that waits for anything but its tx, and keeps serving the others", async () => {
      const store = await open();
      const waits = store.write(async (tx) => {
        await tx.run("insert into items (id, number) values (?, ?)", ["slow", 0]);
        await sleep(5);
        await tx.run("insert into items (id, number) values (?, ?)", ["slower", 0]);
      });
      const other = addItem(store, "other");
      await expect(waits).rejects.toThrow("waited for something other than its tx");
      await other;
      await expect(store.read(() => sleep(5))).rejects.toThrow(UnitError);
      expect(await itemIds(store)).toEqual(["other"]);
    });

    // On SQLite a statement is done when its call returns.
    if (dialect === "postgres") {
      it("refuses a unit that ends before its last statement", async () => {
        const store = await open();
        const unit = store.write(async (tx) => {
          void tx.run("insert into items (id, number) values (?, ?)", ["floating", 0]);
        });
        await expect(unit).rejects.toThrow("await them all");
        expect(await itemIds(store)).toEqual([]);
      });
    }

    it("refuses a tx that is used after its unit", async () => {
      const store = await open();
      let kept: WriteTx | undefined;
      await store.write(async (tx) => {
        kept = tx;
      });
      await expect(kept?.run("delete from items")).rejects.toThrow("after its unit had ended");
      expect(() => kept?.afterCommit(() => undefined)).toThrow(UnitError);
    });

    it("runs statements that a unit starts together", async () => {
      const store = await open();
      const sum = await store.write(async (tx) => {
        const numbers = await Promise.all([1, 2, 3].map((n) => tx.get<{ n: number }>("select ? + 0 as n", [n])));
        return numbers.reduce((total, row) => total + (row?.n ?? 0), 0);
      });
      expect(sum).toBe(6);
    });

    it("calls afterCommit when the data can be read, never after a roll-back", async () => {
      const store = await open();
      const told: string[] = [];
      let seen: Promise<string[]> | undefined;
      await store.write(async (tx) => {
        await tx.run("insert into items (id, number) values (?, ?)", ["a", 0]);
        tx.afterCommit(() => told.push("kept"));
        tx.afterCommit(() => {
          throw new Error("a faulty listener harms nobody");
        });
        tx.afterCommit(() => {
          seen = itemIds(store);
        });
      });
      const broken = store.write(async (tx) => {
        tx.afterCommit(() => told.push("rolled back"));
        throw new Error("no");
      });
      await expect(broken).rejects.toThrow("no");
      expect(told).toEqual(["kept"]);
      expect(await seen).toEqual(["a"]);
    });

    it("reads all statements of one read from one snapshot", async () => {
      const store = await open();
      let write: Promise<void> | undefined;
      const counts = await store.read(async (tx) => {
        const count = async () => (await tx.get<{ n: number }>("select count(*) as n from items"))?.n;
        const before = await count();
        write = addItem(store, "meanwhile");
        return [before, await count()];
      });
      await write;
      expect(counts).toEqual([0, 0]);
      expect(await itemIds(store)).toEqual(["meanwhile"]);
    });

    it("refuses a write inside a read", async () => {
      const store = await open();
      const read = store.read((tx) => tx.run("insert into items (id, number) values (?, ?)", ["a", 0]));
      await expect(read).rejects.toThrow(/read.?only/i);
    });

    it("answers slow reads, also a faulty one", async () => {
      const store = await open();
      await addItem(store, "a", 5);
      const rows = store.readSlow("select id, number from items where number > ?", [1]);
      expect(await rows).toEqual([{ id: "a", number: 5 }]);
      await expect(store.readSlow("select nonsense from items")).rejects.toThrow("nonsense");
      await expect(store.readSlow("select count(*) as n from items")).resolves.toEqual([{ n: 1 }]);
    });

    it("finishes accepted work on close and refuses what comes later", async () => {
      const store = await open();
      const accepted = Array.from({ length: 10 }, (_, index) => addItem(store, String(index)));
      const closed = store.close();
      await expect(addItem(store, "late")).rejects.toThrow(StoreError);
      await closed;
      expect(await Promise.allSettled(accepted)).not.toContainEqual(expect.objectContaining({ status: "rejected" }));
      await expect(store.read((tx) => tx.all("select 1"))).rejects.toMatchObject({ status: 503 });
      await expect(store.readSlow("select 1")).rejects.toMatchObject({ status: 503 });
    });
  },
  testMigrations,
);
