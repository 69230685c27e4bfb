import type { JobExecution, TriggerReference } from "@shipfox/shared/api/runs";
import type { TriggerEventRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import { advanceListener, resolveListener } from "./advance-listener.ts";
import { isFull } from "./listener-model.ts";
import { bufferedEvents, bufferEvent, type ListenerFacts } from "./listener-store.ts";
import type { RunsDeps } from "./ports.ts";
import { iso } from "./present.ts";
import { record } from "./record-event.ts";

/** Whether so much waits for the next execution that no event more is taken. */
export async function listenerIsFull(tx: Tx, { job_id: jobId }: ListenerFacts): Promise<boolean> {
  return isFull(await bufferedEvents(tx, jobId));
}

/** Gives a job that listens an event that it listens for: it fires, or keeps it for later. The caller holds the lock. */
export async function takeEvent(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ListenerFacts,
  event: TriggerEventRow,
  now: number,
): Promise<void> {
  await bufferEvent(tx, {
    job_id: facts.job_id,
    event_id: event.id,
    received_at: event.received_at,
    taken_at: now,
    bytes: event.payload_bytes,
    facts: JSON.stringify(await factsOf(tx, facts.project_id, event)),
    data: event.payload ?? "null",
  });
  const { source, event: name, delivery_id: deliveryId } = event;
  record(tx, facts, "job.event_taken", { key: facts.key, source, event: name, delivery_id: deliveryId }, now);
  await advanceListener(tx, deps, facts.job_id, now);
}

/** An event that ends the listening of a job. The caller holds the lock. */
export function resolveByEvent(tx: WriteTx, deps: RunsDeps, facts: ListenerFacts, now: number): Promise<void> {
  return resolveListener(tx, deps, facts, "until", now);
}

type EventFacts = Omit<JobExecution["trigger_events"][number], "data">;

async function factsOf(tx: Tx, projectId: string, event: TriggerEventRow): Promise<EventFacts> {
  const reference = JSON.parse(event.reference ?? "{}") as Partial<TriggerReference>;
  return {
    source: event.source,
    event: event.event,
    delivery_id: event.delivery_id,
    received_at: iso(event.received_at),
    project: await projectOf(tx, projectId, event),
    repository: reference.repository ?? null,
    ref: reference.ref ?? null,
    commit: reference.commit ?? null,
  };
}

const PROJECT_OF = `select id from projects where workspace_id = ? and connection_id = ? and external_repository_id = ?
  order by case when id = ? then 0 else 1 end, created_at, id limit 1`;

/** The project of the repository that the event is about: the job's own where several have it. */
async function projectOf(tx: Tx, own: string, event: TriggerEventRow): Promise<{ id: string } | null> {
  const { workspace_id: workspaceId, connection_id: connectionId, repository_id: repositoryId } = event;
  if (connectionId === null || repositoryId === null) return null;
  return (await tx.get<{ id: string }>(PROJECT_OF, [workspaceId, connectionId, repositoryId, own])) ?? null;
}
