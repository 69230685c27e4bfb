import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { StoreRefusal } from "./errors.ts";
import type { Migration } from "./migrate.ts";
import { SqliteConnection } from "./sqlite-connection.ts";
import { describeStores, type StorePlace } from "./testing.ts";

const first: Migration = {
  version: 1,
  name: "first",
  up: ({ text }) => [`create table notes (id ${text} primary key)`],
};
const second: Migration = {
  version: 2,
  name: "second",
  oldestBinary: 1,
  up: ({ bigint }) => [`alter table notes add column number ${bigint}`, "update notes set number = 7"],
};
const third: Migration = { version: 3, name: "third", up: () => ["alter table notes drop column number"] };
const faulty: Migration = {
  version: 2,
  name: "faulty",
  up: ({ text }) => [`create table halves (id ${text} primary key)`, "insert into nowhere values (1)"],
};

const addNote = "insert into notes (id) values (?)";

describeStores(
  "migrations",
  (open, { newPlace, dialect }) => {
    async function openAndClose(place: StorePlace, migrations: Migration[]): Promise<void> {
      await (await open({ place, migrations })).close();
    }

    async function copiesIn({ dataDir }: StorePlace): Promise<string[]> {
      return (await readdir(dataDir)).filter((name) => name.startsWith("shipfox-before-migration-")).sort();
    }

    it("run once each, in order, on a new database and on one with data", async () => {
      const place = await newPlace();
      const store = await open({ place, migrations: [first] });
      await store.write((tx) => tx.run(addNote, ["a"]));
      await store.close();
      const upgraded = await open({ place, migrations: [first, second] });
      expect(await upgraded.read((tx) => tx.all("select id, number from notes"))).toEqual([{ id: "a", number: 7 }]);
      await upgraded.write((tx) => tx.run("update notes set number = 8"));
      await upgraded.close();
      const again = await open({ place, migrations: [first, second] });
      expect(await again.read((tx) => tx.all("select number from notes"))).toEqual([{ number: 8 }]);
      const versions = again.read((tx) => tx.all("select version, oldest_binary from schema_info order by version"));
      expect(await versions).toEqual([
        { version: 1, oldest_binary: 1 },
        { version: 2, oldest_binary: 1 },
      ]);
    });

    it("let the binary before work on, and refuse an older one in words", async () => {
      const place = await newPlace();
      await openAndClose(place, [first, second]);
      await openAndClose(place, [first]);
      await openAndClose(place, [first, second, third]);
      await expect(open({ place, migrations: [first, second] })).rejects.toThrow(
        /schema version 3 .* at least version 3/,
      );
      await openAndClose(place, [first, second, third]);
    });

    it("leave the schema as it was when one fails", async () => {
      const place = await newPlace();
      await openAndClose(place, [first]);
      await expect(open({ place, migrations: [first, faulty] })).rejects.toThrow(StoreRefusal);
      const store = await open({ place, migrations: [first, second] });
      await expect(store.read((tx) => tx.all("select * from halves"))).rejects.toThrow("halves");
    });

    if (dialect === "sqlite") {
      it("keep copies of the last two databases they changed, none of a new one", async () => {
        const place = await newPlace();
        const store = await open({ place, migrations: [first] });
        await store.write((tx) => tx.run(addNote, ["a"]));
        await store.close();
        expect(await copiesIn(place)).toEqual([]);
        const more = [4, 5].map((version): Migration => ({ version, name: "more", up: () => [] }));
        const all = [first, second, third, ...more];
        for (const count of [2, 3, 4, 5]) await openAndClose(place, all.slice(0, count));
        const copies = await copiesIn(place);
        expect(copies.map((name) => name.slice(-"v0.db".length))).toEqual(["v3.db", "v4.db"]);
        const copy = new SqliteConnection(join(place.dataDir, copies[0] ?? ""), "read-only");
        expect(copy.allNow("select id from notes", [])).toEqual([{ id: "a" }]);
        copy.close();
      });
    }

    if (dialect === "sqlite") {
      it("may rebuild a table that others refer to, but not break the references", async () => {
        const place = await newPlace();
        const related: Migration = {
          version: 1,
          name: "related",
          up: () => [
            "create table owners (id text primary key)",
            "create table things (owner text references owners(id) on delete cascade)",
            "insert into owners values ('o')",
            "insert into things values ('o')",
          ],
        };
        const rebuild = (rows: string): Migration => ({
          version: 2,
          name: "rebuild",
          up: () => [
            "create table owners_new (id text primary key, name text)",
            `insert into owners_new (id) ${rows}`,
            "drop table owners",
            "alter table owners_new rename to owners",
          ],
        });
        await openAndClose(place, [related]);
        const breaking = open({ place, migrations: [related, rebuild("select 'other'")] });
        await expect(breaking).rejects.toThrow("rows of things refer to missing rows of owners");
        const store = await open({ place, migrations: [related, rebuild("select id from owners")] });
        expect(await store.read((tx) => tx.all("select * from things"))).toEqual([{ owner: "o" }]);
      });
    }
  },
  [],
);
