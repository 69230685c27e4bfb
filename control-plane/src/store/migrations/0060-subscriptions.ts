import type { ColumnTypes } from "../dialect.ts";

/**
 * What starts runs: the triggers of definitions as rows, and what each made of an event. A subscription keeps its id while
 * its definition has a trigger of that key; decisions name it without a reference, because they outlive it.
 */
export const subscriptions = {
  version: 60,
  name: "subscriptions",
  oldestBinary: 1,
  up: ({ text, bigint, withoutRowid }: ColumnTypes): string[] => [
    `create table trigger_subscriptions (
      id ${text} primary key,
      workspace_id ${text} not null,
      project_id ${text} not null,
      definition_id ${text} not null references definitions(id) on delete cascade,
      trigger_key ${text} not null,
      source ${text} not null,
      event ${text} not null,
      filter ${text},
      inputs ${text},
      schedule ${text},
      timezone ${text},
      next_fire_at ${bigint},
      updated_at ${bigint} not null,
      unique (definition_id, trigger_key)
    )`,
    `create index trigger_subscriptions_event on trigger_subscriptions(workspace_id, source, event, id)`,
    `create index trigger_subscriptions_due on trigger_subscriptions(next_fire_at) where next_fire_at is not null`,
    `create table trigger_decisions (
      id ${text} primary key,
      event_id ${text} not null references trigger_events(id) on delete cascade,
      pass ${bigint} not null,
      subscription_kind ${text} not null,
      subscription_id ${text} not null,
      subscription_name ${text} not null,
      definition_id ${text},
      project_id ${text},
      decision ${text} not null,
      run_id ${text},
      reason ${text},
      created_at ${bigint} not null,
      unique (event_id, pass, subscription_id)
    )${withoutRowid}`,
    `alter table trigger_events add column pass ${bigint} not null default 1`,
    `alter table trigger_events add column reference ${text}`,
    `alter table trigger_events add column repository_id ${text}`,
    `alter table runs add column trigger_reference ${text}`,
    `alter table runs add column pinned_commit ${text}`,
  ],
};
