import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { SEALED_COLUMNS } from "./app.ts";

/** `value` of secrets is the one sealed column whose name does not say so. */
const UNNAMED = "secrets.value";

it("seals every sealed column of the database again after a rotation of the root key", async () => {
  const tables = await readFile(new URL("./store/migrations/0001-initial.ts", import.meta.url), "utf8");
  const sealed = [...tables.matchAll(/create table (\w+) \(([^`]*)/g)].flatMap(([, table, columns]) =>
    [...(columns ?? "").matchAll(/^\s*(sealed_\w+) /gm)].map(([, column]) => `${table}.${column}`),
  );
  expect(sealed.length).toBeGreaterThan(3);
  expect(SEALED_COLUMNS.map(({ table, column }) => `${table}.${column}`).sort()).toEqual([...sealed, UNNAMED].sort());
});
