import type { ColumnTypes } from "../dialect.ts";

/** Where the branches of repositories on plain git hosts were when somebody last looked: of all projects of git connections. */
export const repositoryHeads = {
  version: 62,
  name: "heads of repositories",
  oldestBinary: 1,
  up: ({ text, bigint, withoutRowid }: ColumnTypes): string[] => [
    `create table repository_heads (
      project_id ${text} primary key references projects(id) on delete cascade,
      heads ${text},
      looked_at ${bigint} not null,
      failures ${bigint} not null,
      due_at ${bigint}
    )${withoutRowid}`,
    `create index repository_heads_due on repository_heads(due_at) where due_at is not null`,
    `insert into repository_heads (project_id, looked_at, failures, due_at)
      select p.id, 0, 0, 0 from projects p join connections c on c.id = p.connection_id where c.provider = 'git'`,
  ],
};
