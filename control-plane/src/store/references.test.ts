import { expect, it } from "vitest";
import { describeStore } from "./testing.ts";

/** Tickets live for a minute: there are never many, and one more index would be written for each of them. */
const SMALL = "stream_tickets";
/** Kept for ever: whoever was deleted is a row with that status. */
const NEVER_DELETED = "users";

interface Reference {
  readonly child: string;
  readonly column: string;
}

const REFERENCES = `select t.name as child, f."from" as "column" from pragma_table_list t, pragma_foreign_key_list(t.name) f
  where t.type = 'table' and t.name <> '${SMALL}' and f."table" <> '${NEVER_DELETED}'
  order by 1, 2`;

describeStore("sqlite", "the schema", (open) => {
  it("finds what refers to a row that is deleted by an index, whatever table it is in", async () => {
    const store = await open();
    const scanned = await store.read(async (tx) => {
      const found: string[] = [];
      for (const { child, column } of await tx.all<Reference>(REFERENCES)) {
        const plan = await tx.all<{ detail: string }>(`explain query plan select 1 from ${child} where ${column} = ?`, [
          "x",
        ]);
        if (plan.some(({ detail }) => detail.startsWith("SCAN"))) found.push(`${child}.${column}`);
      }
      return found;
    });
    expect(scanned).toEqual([]);
  });
});
