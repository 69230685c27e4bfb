import type { ColumnTypes } from "../dialect.ts";

/** Jobs that call a workflow, the jobs of these calls, and the files that were called. */
export const calls = {
  version: 77,
  name: "calls of workflows",
  oldestBinary: 1,
  up: ({ text }: ColumnTypes): string[] => [
    `alter table jobs add column within ${text}`,
    `alter table jobs add column calls ${text}`,
    `alter table jobs add column inputs ${text}`,
    "create index jobs_within on jobs(run_attempt_id, within) where within is not null",
    `alter table definitions add column called_files ${text}`,
    `alter table runs add column called_files ${text}`,
  ],
};
