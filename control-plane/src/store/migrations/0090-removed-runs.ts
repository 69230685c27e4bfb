import type { ColumnTypes } from "../dialect.ts";

/** Runs that have been over for longer than they are kept: hidden first, all at once, then deleted piece by piece. */
export const removedRuns = {
  version: 90,
  name: "removed runs",
  oldestBinary: 1,
  up: ({ bigint }: ColumnTypes): string[] => [
    `alter table runs add column removed_at ${bigint}`,
    "create index runs_finished on runs(finished_at) where finished_at is not null and removed_at is null",
    "create index runs_removed on runs(removed_at, id) where removed_at is not null",
  ],
};
