import type { InstanceState } from "@shipfox/shared/provisioner";
import { marks } from "../../store/marks.ts";
import type { Tx } from "../../store/store.ts";
import { instancesById, type OpenInstance, openInstances } from "./instance-store.ts";

const BOUND = (count: number) => `select session_id, job_id, run_attempt_id from leases
  where ended_at is null and session_id in (${marks(count)})`;
const LOST = (count: number) => `select session_id from leases
  where end_reason in ('released', 'expired') and session_id in (${marks(count)})`;
/** Ids that one statement looks up. */
const CHUNK = 500;

interface BoundJob {
  readonly session_id: string;
  readonly job_id: string;
  readonly run_attempt_id: string;
}

type InstanceRecord = OpenInstance & {
  readonly bound: BoundJob | undefined;
  /** It had a job that it did not finish. */
  readonly hasLostJob: boolean;
};

/** The open instances of a provisioner and all others that were observed; `unknown` are those of no record. */
export async function recordsOf(
  tx: Tx,
  provisionerId: string,
  observed: ReadonlySet<string>,
): Promise<{ records: InstanceRecord[]; unknown: string[] }> {
  const open = await openInstances(tx, provisionerId);
  const known = new Map(open.map((instance) => [instance.id, instance]));
  const others = [...observed].filter((id) => !known.has(id));
  for (const instance of await inChunks(others, (ids) => instancesById(tx, provisionerId, ids)))
    known.set(instance.id, instance);
  const sessions = [...known.values()].flatMap(({ session_id: id }) => id ?? []);
  // Also of records that have ended: a machine that works is kept, whatever its record says.
  const bound = await inChunks(sessions, (ids) => tx.all<BoundJob>(BOUND(ids.length), ids));
  const jobs = new Map(bound.map((job) => [job.session_id, job]));
  const claimed = [...known.values()].flatMap((one) => ((one.claims_used ?? 0) > 0 ? (one.session_id ?? []) : []));
  const lostRows = await inChunks(claimed, (ids) => tx.all<{ session_id: string }>(LOST(ids.length), ids));
  const lost = new Set(lostRows.map(({ session_id: id }) => id));
  return {
    records: [...known.values()].map((instance) => {
      const sessionId = instance.session_id ?? "";
      return { ...instance, bound: jobs.get(sessionId), hasLostJob: lost.has(sessionId) };
    }),
    unknown: others.filter((id) => !known.has(id)),
  };
}

async function inChunks<Row>(
  ids: readonly string[],
  read: (chunk: readonly string[]) => Promise<Row[]>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let start = 0; start < ids.length; start += CHUNK) rows.push(...(await read(ids.slice(start, start + CHUNK))));
  return rows;
}

/** A busy instance is kept whatever else is said of it. */
export function presentRecord({ bound, hasLostJob, ...instance }: InstanceRecord) {
  const unwanted = instance.ended_at !== null || instance.terminate_reason !== null;
  return {
    runner_instance_id: instance.id,
    provider_runner_id: instance.provider_runner_id,
    template_key: instance.template_key,
    state: instance.state as InstanceState,
    registered: instance.session_id !== null,
    claimed: (instance.claims_used ?? 0) > 0,
    bound_job: bound ? { job_id: bound.job_id, workflow_run_attempt_id: bound.run_attempt_id } : null,
    lost_job: hasLostJob,
    desired_intent: unwanted && !bound ? ("terminate" as const) : ("keep" as const),
  };
}
