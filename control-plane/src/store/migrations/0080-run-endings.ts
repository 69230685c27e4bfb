import type { ColumnTypes } from "../dialect.ts";

/** Runs that start when a run of another workflow ends: which one a trigger names, and how many of them led to a run. */
export const runEndings = {
  version: 80,
  name: "endings of runs",
  oldestBinary: 1,
  up: ({ text, bigint }: ColumnTypes): string[] => [
    `alter table trigger_subscriptions add column workflow ${text}`,
    `alter table runs add column trigger_depth ${bigint} not null default 0`,
  ],
};
