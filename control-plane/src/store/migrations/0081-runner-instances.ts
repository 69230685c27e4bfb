import type { ColumnTypes } from "../dialect.ts";

/**
 * What provisioners start. A pool is what a provisioner said last of its templates, and which daemon speaks for it. A
 * reservation is instances that a provisioner was told to make and has not made yet. An instance is recorded before its
 * machine is created, and `due_at` is until when it must have registered.
 */
export const runnerInstances = {
  version: 81,
  name: "runner instances",
  oldestBinary: 1,
  up: ({ text, bigint, withoutRowid }: ColumnTypes): string[] => [
    `create table provisioner_pools (
      provisioner_id ${text} primary key references provisioner_tokens(id) on delete cascade,
      workspace_id ${text} not null,
      holder_id ${text},
      holder_host ${text},
      held_until ${bigint},
      templates ${text} not null,
      advertised_at ${bigint} not null
    )${withoutRowid}`,
    `create index provisioner_pools_workspace on provisioner_pools(workspace_id)`,
    `create table reservations (
      id ${text} primary key,
      workspace_id ${text} not null,
      provisioner_id ${text} not null references provisioner_tokens(id) on delete cascade,
      label_set_id ${text} not null,
      labels ${text} not null,
      capabilities ${text} not null,
      count ${bigint} not null,
      expires_at ${bigint} not null
    )${withoutRowid}`,
    `create index reservations_workspace on reservations(workspace_id, expires_at)`,
    `create index reservations_provisioner on reservations(provisioner_id)`,
    `create table runner_instances (
      id ${text} primary key,
      workspace_id ${text} not null references workspaces(id) on delete cascade,
      provisioner_id ${text} not null references provisioner_tokens(id) on delete cascade,
      template_key ${text} not null,
      provider_kind ${text},
      provider_runner_id ${text},
      labels ${text} not null,
      capabilities ${text} not null,
      label_set_id ${text},
      state ${text} not null,
      reason ${text},
      console_tail ${text},
      terminate_reason ${text},
      token_hash ${text} not null unique,
      token_prefix ${text} not null,
      register_key ${text},
      runner_id ${text},
      session_id ${text},
      due_at ${bigint},
      reported_at ${bigint},
      registered_at ${bigint},
      created_at ${bigint} not null,
      ended_at ${bigint}
    )${withoutRowid}`,
    `create index runner_instances_workspace on runner_instances(workspace_id, created_at, id)`,
    `create index runner_instances_provisioner on runner_instances(provisioner_id, ended_at)`,
    `create index runner_instances_session on runner_instances(session_id) where session_id is not null`,
    `create index runner_instances_due on runner_instances(due_at) where due_at is not null`,
    `create table runner_instance_states (
      runner_instance_id ${text} not null references runner_instances(id) on delete cascade,
      number ${bigint} not null,
      state ${text} not null,
      reason ${text},
      at ${bigint} not null,
      primary key (runner_instance_id, number)
    )${withoutRowid}`,
  ],
};
