import type { ColumnTypes } from "../dialect.ts";

/** The commit that the first job of a run without a pinned one checked out; the others check out the same. */
export const checkedOutCommit = {
  version: 78,
  name: "commit that a run checked out",
  oldestBinary: 1,
  up: ({ text }: ColumnTypes): string[] => [`alter table runs add column checked_out_commit ${text}`],
};
