import type { ColumnTypes } from "../dialect.ts";

/** Whether the runs of strangers' code get the secrets that their workflows name. */
export const untrustedSecrets = {
  version: 84,
  name: "secrets of untrusted runs",
  oldestBinary: 1,
  up: ({ bigint }: ColumnTypes): string[] => [
    `alter table projects add column untrusted_secrets ${bigint} not null default 0`,
  ],
};
