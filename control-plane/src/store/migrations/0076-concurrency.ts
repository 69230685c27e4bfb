import type { ColumnTypes } from "../dialect.ts";

/**
 * Groups of which one job goes at a time. A member is a job that has come to its turn; the rows of a group are its line, in the
 * order of `number`, and only one of them holds the place.
 */
export const concurrency = {
  version: 76,
  name: "concurrency groups",
  oldestBinary: 1,
  up: ({ text, bigint, identity }: ColumnTypes): string[] => [
    `create table concurrency_groups (
      id ${text} primary key,
      project_id ${text} not null references projects(id) on delete cascade,
      name ${text} not null,
      unique (project_id, name)
    )`,
    `create table concurrency_members (
      number ${identity},
      group_id ${text} not null references concurrency_groups(id) on delete cascade,
      run_id ${text} not null,
      run_attempt_id ${text} not null references run_attempts(id) on delete cascade,
      job_id ${text} not null unique references jobs(id) on delete cascade,
      holds ${bigint} not null,
      replaced_by ${text},
      due_at ${bigint},
      created_at ${bigint} not null
    )`,
    "create index concurrency_members_line on concurrency_members(group_id, number)",
    "create unique index concurrency_members_place on concurrency_members(group_id) where holds = 1",
    "create index concurrency_members_attempt on concurrency_members(run_attempt_id)",
    "create index concurrency_members_due on concurrency_members(due_at) where due_at is not null",
    `alter table jobs add column concurrency_group ${text}`,
  ],
};
