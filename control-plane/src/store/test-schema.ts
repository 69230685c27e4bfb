import type { Migration } from "./migrate.ts";
import { migrations } from "./migrations.ts";
import type { RunEventDraft, Store } from "./store.ts";

/** The product's schema and a few tables on which the tests of the store can play. */
export const testMigrations: readonly Migration[] = [
  ...migrations,
  {
    version: 1_000,
    name: "tables of the store's tests",
    up: ({ text, bigint, blob }) => [
      `create table items (id ${text} primary key, number ${bigint} not null, data ${blob})`,
      `create table parents (id ${text} primary key)`,
      `create table children (parent_id ${text} not null references parents(id) deferrable initially deferred)`,
    ],
  },
];

export async function addWorkspace(store: Store, id: string): Promise<void> {
  await store.write((tx) =>
    tx.run(
      "insert into workspaces (id, name, slug, status, last_event, created_at, updated_at) values (?, ?, ?, ?, ?, ?, ?)",
      [id, id, id, "active", 0, 0, 0],
    ),
  );
}

export async function addItem(store: Store, id: string, number = 0): Promise<void> {
  await store.write((tx) => tx.run("insert into items (id, number) values (?, ?)", [id, number]));
}

export async function itemIds(store: Store): Promise<string[]> {
  const rows = await store.read((tx) => tx.all<{ id: string }>("select id from items order by id"));
  return rows.map((row) => row.id);
}

export function eventOf(workspaceId: string, name = "test"): RunEventDraft<"step.started"> {
  const payload = { name, attempt: 1 };
  return { workspaceId, type: "step.started", runId: null, projectId: null, payload, createdAt: 0 };
}
