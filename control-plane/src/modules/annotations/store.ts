import type { Annotation, AnnotationStyle, AnnotationSummary } from "@shipfox/shared/api/annotations";
import type { LeasePrincipal } from "../../http/route.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import type { KeptAnnotation } from "./model.ts";

/** Batches for one execution come one after another. */
export async function lockExecution(tx: WriteTx, forUpdate: string, executionId: string): Promise<void> {
  await tx.get(`select id from job_executions where id = ?${forUpdate}`, [executionId]);
}

const KEPT = `select id, context, style, sequence, step_id as "stepId", step_attempt as "stepAttempt", '' as body, body_bytes as "bodyBytes"
  from annotations where job_execution_id = ? order by sequence`;
const BODY = "select body from annotations where id = ?";

/** The annotations of an execution; with their bodies only those of the given contexts. */
export async function findKept(
  tx: Tx,
  executionId: string,
  withBodies: ReadonlySet<string>,
): Promise<KeptAnnotation[]> {
  const kept = await tx.all<KeptAnnotation>(KEPT, [executionId]);
  const loaded: KeptAnnotation[] = [];
  for (const annotation of kept) {
    const row = withBodies.has(annotation.context) ? await tx.get<{ body: string }>(BODY, [annotation.id]) : undefined;
    loaded.push(row ? { ...annotation, body: row.body } : annotation);
  }
  return loaded;
}

const WRITE = `insert into annotations
  (id, run_id, run_attempt, job_id, job_execution_id, step_id, step_attempt, context, style, sequence, body, body_bytes)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  on conflict (job_execution_id, context) do update set step_id = excluded.step_id, step_attempt = excluded.step_attempt,
    style = excluded.style, sequence = excluded.sequence, body = excluded.body, body_bytes = excluded.body_bytes`;

export async function writeAnnotation(tx: WriteTx, job: LeasePrincipal, annotation: KeptAnnotation): Promise<void> {
  await tx.run(WRITE, [
    annotation.id,
    job.runId,
    job.runAttempt,
    job.jobId,
    job.executionId,
    annotation.stepId,
    annotation.stepAttempt,
    annotation.context,
    annotation.style,
    annotation.sequence,
    annotation.body,
    annotation.bodyBytes,
  ]);
}

export async function removeAnnotation(tx: WriteTx, id: string): Promise<void> {
  await tx.run("delete from annotations where id = ?", [id]);
}

/** Which annotations are asked for: all of a run attempt, or those of one execution of it. */
export interface AnnotationScope {
  readonly runId: string;
  readonly attempt: number;
  readonly executionId: string | null;
}

const IN_SCOPE = "run_id = ? and run_attempt = ? and (job_execution_id = ? or ? = '')";
const scopeValues = ({ runId, attempt, executionId }: AnnotationScope) => {
  const execution = executionId ?? "";
  return [runId, attempt, execution, execution];
};

export type AnnotationPlace = Pick<Annotation, "id" | "sequence"> & { readonly body_bytes: number };
const PLACES = `select id, sequence, body_bytes from annotations
  where ${IN_SCOPE} and (sequence > ? or (sequence = ? and id > ?)) order by sequence, id limit ?`;

export function findPlaces(
  tx: Tx,
  scope: AnnotationScope,
  after: readonly [sequence: number, id: string],
  limit: number,
): Promise<AnnotationPlace[]> {
  const [sequence, id] = after;
  return tx.all<AnnotationPlace>(PLACES, [...scopeValues(scope), sequence, sequence, id, limit]);
}

const ANNOTATION = `select id, job_id, job_execution_id, step_id as origin_step_id, step_attempt as origin_step_attempt,
  context, style, sequence, body from annotations where id = ?`;

export const findAnnotation = (tx: Tx, id: string) => tx.get<Annotation>(ANNOTATION, [id]);

const BY_STYLE = `select style, count(*) as total from annotations where ${IN_SCOPE} group by style`;
const BY_STEP = `select step_id as origin_step_id, step_attempt as origin_step_attempt, count(*) as total from annotations
  where ${IN_SCOPE} group by step_id, step_attempt order by step_id, step_attempt`;

export async function countAnnotations(tx: Tx, scope: AnnotationScope): Promise<AnnotationSummary> {
  const styles = await tx.all<{ style: AnnotationStyle; total: number }>(BY_STYLE, scopeValues(scope));
  const counts = new Map(styles.map((row) => [row.style, row.total]));
  return {
    total: styles.reduce((sum, row) => sum + row.total, 0),
    error: counts.get("error") ?? 0,
    warning: counts.get("warning") ?? 0,
    info: counts.get("info") ?? 0,
    success: counts.get("success") ?? 0,
    step_counts: await tx.all<AnnotationSummary["step_counts"][number]>(BY_STEP, scopeValues(scope)),
  };
}
