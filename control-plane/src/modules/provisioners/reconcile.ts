import type { InstanceState } from "@shipfox/shared/provisioner";
import { marks } from "../../store/marks.ts";
import type { Tx } from "../../store/store.ts";
import { instancesById, type OpenInstance, openInstances } from "./instance-store.ts";

const BOUND = `select l.session_id, l.job_id, l.run_attempt_id from runner_instances i join leases l on l.session_id = i.session_id
  where i.provisioner_id = ? and i.ended_at is null and l.ended_at is null`;
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
  for (let start = 0; start < others.length; start += CHUNK) {
    const ids = others.slice(start, start + CHUNK);
    for (const instance of await instancesById(tx, provisionerId, ids)) known.set(instance.id, instance);
  }
  const jobs = new Map((await tx.all<BoundJob>(BOUND, [provisionerId])).map((job) => [job.session_id, job]));
  const claimed = [...known.values()].flatMap((one) =>
    one.session_id !== null && (one.claims_used ?? 0) > 0 ? one.session_id : [],
  );
  const lost = await lostSessions(tx, claimed);
  return {
    records: [...known.values()].map((instance) => {
      const sessionId = instance.session_id ?? "";
      return { ...instance, bound: jobs.get(sessionId), hasLostJob: lost.has(sessionId) };
    }),
    unknown: others.filter((id) => !known.has(id)),
  };
}

async function lostSessions(tx: Tx, sessionIds: readonly string[]): Promise<Set<string>> {
  const lost = new Set<string>();
  for (let start = 0; start < sessionIds.length; start += CHUNK) {
    const ids = sessionIds.slice(start, start + CHUNK);
    for (const row of await tx.all<{ session_id: string }>(LOST(ids.length), ids)) lost.add(row.session_id);
  }
  return lost;
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
