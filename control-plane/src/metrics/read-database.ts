import { instanceStateSchema } from "@shipfox/shared/provisioner";
import type { Store } from "../store/store.ts";
import type { Samples } from "./table.ts";

const GOING_STATES = instanceStateSchema.extract(["planned", "starting", "running", "stopping"]).options;

/** Every part of it reads an index of what is open, or a table that is as small as what is going on. */
const NUMBERS = `select
  (select min(queued_at) from queue) as oldest_queued_at,
  (select count(*) from concurrency_members where holds = 0) as waiting_for_group,
  (select count(*) from runs where place_wanted_at is not null) as waiting_for_place,
  (select coalesce(sum(artifact_bytes), 0) from blob_usage) as artifact_bytes,
  (select coalesce(sum(cache_bytes), 0) from blob_usage) as cache_bytes,
  (select count(*) from trigger_events where due_at is not null) as trigger_events,
  (select count(*) from webhook_deliveries where due_at is not null) as webhook_deliveries,
  (select count(*) from mail_queue) as mails`;
const INSTANCES = `select i.state, count(*) as count
  from provisioner_tokens t join runner_instances i on i.provisioner_id = t.id
  where i.ended_at is null group by i.state`;

interface Numbers {
  readonly oldest_queued_at: number | null;
  readonly waiting_for_group: number;
  readonly waiting_for_place: number;
  readonly artifact_bytes: number;
  readonly cache_bytes: number;
  readonly trigger_events: number;
  readonly webhook_deliveries: number;
  readonly mails: number;
}

/** What only the database knows. Rejects as the store does. */
export async function readDatabase(store: Store, now: number) {
  const [[numbers], instances] = await Promise.all([
    store.readSlow<Numbers>(NUMBERS),
    store.readSlow<{ state: string; count: number }>(INSTANCES),
  ]);
  if (!numbers) throw new Error("the database gave no numbers");
  const oldest = numbers.oldest_queued_at ?? now;
  const samples = {
    oldest_waiting_seconds: [{ value: Math.max(0, now - oldest) / 1_000 }],
    runs_waiting: [{ value: numbers.waiting_for_place }],
    runner_instances: GOING_STATES.map((state) => ({
      labels: { state },
      value: instances.find((row) => row.state === state)?.count ?? 0,
    })),
    file_bytes: [
      { labels: { kind: "artifact" }, value: numbers.artifact_bytes },
      { labels: { kind: "cache" }, value: numbers.cache_bytes },
    ],
    backlog: [
      { labels: { kind: "trigger_event" }, value: numbers.trigger_events },
      { labels: { kind: "webhook_delivery" }, value: numbers.webhook_deliveries },
      { labels: { kind: "mail" }, value: numbers.mails },
    ],
  } satisfies Partial<Samples>;
  return { samples, waitingForGroup: numbers.waiting_for_group };
}
