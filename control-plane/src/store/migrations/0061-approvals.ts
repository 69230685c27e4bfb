import type { ColumnTypes } from "../dialect.ts";

/** Events that somebody must approve: what they are about, which commit and which workflows an approval is for. */
export const approvals = {
  version: 61,
  name: "approvals",
  oldestBinary: 1,
  up: ({ text, bigint }: ColumnTypes): string[] => [
    `alter table trigger_events add column subject ${text}`,
    `alter table trigger_events add column subject_at ${bigint}`,
    `alter table trigger_events add column head_commit ${text}`,
    `alter table trigger_events add column approval ${text}`,
    `alter table trigger_events add column workflows_hash ${text}`,
    `alter table trigger_events add column approved_by ${text}`,
    `alter table trigger_events add column approved_at ${bigint}`,
    `create index trigger_events_subject on trigger_events(workspace_id, subject) where subject is not null`,
    `create index trigger_events_waiting on trigger_events(workspace_id, received_at, id) where approval = 'waiting'`,
  ],
};
