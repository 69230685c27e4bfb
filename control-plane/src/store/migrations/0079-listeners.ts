import type { ColumnTypes } from "../dialect.ts";

/**
 * Jobs that listen: what each waits for, the events it has taken, and which firing of it an execution is. An event stays with
 * the job when the event log has let it go, so it is no reference; an execution of a listening job has a model of its own,
 * because its variables and labels are of its time.
 */
export const listeners = {
  version: 79,
  name: "listeners",
  oldestBinary: 1,
  up: ({ text, bigint }: ColumnTypes): string[] => [
    `create table listeners (
      job_id ${text} primary key references jobs(id) on delete cascade,
      workspace_id ${text} not null,
      run_id ${text} not null,
      status ${text} not null,
      resolution_reason ${text},
      snapshot ${text},
      firings ${bigint} not null,
      listening_since ${bigint},
      expires_at ${bigint},
      due_at ${bigint}
    )`,
    `create index listeners_due on listeners(due_at) where due_at is not null`,
    `create table listener_subscriptions (
      id ${text} primary key,
      job_id ${text} not null references listeners(job_id) on delete cascade,
      workspace_id ${text} not null,
      source ${text} not null,
      event ${text} not null,
      matcher_kind ${text} not null,
      matcher_ordinal ${bigint} not null,
      filter ${text}
    )`,
    `create index listener_subscriptions_event on listener_subscriptions(workspace_id, source, event, job_id)`,
    `create index listener_subscriptions_job on listener_subscriptions(job_id)`,
    `create table listener_events (
      job_id ${text} not null references listeners(job_id) on delete cascade,
      event_id ${text} not null,
      firing ${bigint},
      received_at ${bigint} not null,
      taken_at ${bigint} not null,
      bytes ${bigint} not null,
      facts ${text} not null,
      data ${text} not null,
      primary key (job_id, event_id)
    )`,
    `create index listener_events_firing on listener_events(job_id, firing)`,
    `alter table job_executions add column firing ${bigint}`,
    `alter table job_executions add column labels ${text}`,
    `alter table job_executions add column model ${text}`,
    `alter table trigger_decisions add column workflow_run_id ${text}`,
    `alter table trigger_decisions add column job_id ${text}`,
    `alter table trigger_decisions add column matcher_kind ${text}`,
    `alter table trigger_decisions add column matcher_ordinal ${bigint}`,
  ],
};
