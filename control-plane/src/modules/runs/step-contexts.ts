import type { Tx } from "../../store/store.ts";
import { type JobModel, parseValues } from "../workflow/public.ts";

/** A step of an execution with all its attempts, as expressions see it. */
export interface StepInContext {
  readonly key: string | null;
  readonly position: number;
  readonly status: string;
  readonly attempts: readonly AttemptInContext[];
}

interface AttemptInContext {
  readonly order: number;
  readonly status: string;
  readonly feedback: string | null;
  /** `exit_code`, `outputs` and `gate`, as far as the attempt has them. */
  readonly values: Readonly<Record<string, unknown>>;
}

interface Row {
  readonly key: string | null;
  readonly position: number;
  readonly status: string;
  readonly execution_order: number | null;
  readonly attempt_status: string | null;
  readonly exit_code: number | null;
  readonly output: string | null;
  readonly outputs: string | null;
  readonly gate_result: string | null;
  readonly restart_feedback: string | null;
}

const STEPS = `select s.key, s.position, s.status, a.execution_order, a.status as attempt_status, a.exit_code, a.output, a.outputs,
    a.gate_result, a.restart_feedback
  from steps s left join step_attempts a on a.job_execution_id = s.job_execution_id and a.step_id = s.id
  where s.job_execution_id = ? order by s.position, a.attempt`;

/** The authored steps of an execution, in order. */
export async function stepsInContext(tx: Tx, executionId: string): Promise<StepInContext[]> {
  const steps = new Map<
    number,
    { key: string | null; position: number; status: string; attempts: AttemptInContext[] }
  >();
  for (const row of await tx.all<Row>(STEPS, [executionId])) {
    if (row.position === 0) continue;
    const { key, position, status } = row;
    const step = steps.get(position) ?? { key, position, status, attempts: [] };
    steps.set(position, step);
    if (row.attempt_status !== null) step.attempts.push(attemptOf(row));
  }
  return [...steps.values()];
}

function attemptOf(row: Row): AttemptInContext {
  const outputs = row.outputs ?? row.output;
  const gate = row.gate_result === null ? null : (JSON.parse(row.gate_result) as GateRecord);
  return {
    order: row.execution_order ?? 0,
    status: row.attempt_status ?? "",
    feedback: row.restart_feedback,
    values: {
      ...(row.exit_code === null ? {} : { exit_code: BigInt(row.exit_code) }),
      ...(outputs === null ? {} : { outputs: parseValues(outputs) }),
      ...(gate === null ? {} : { gate: gateValues(gate) }),
    },
  };
}

interface GateRecord {
  readonly kind: string;
  readonly source?: string | null;
  readonly exit_code?: number | null;
  readonly reason?: string | null;
}

function gateValues({ kind, source = null, exit_code: exitCode = null, reason = null }: GateRecord) {
  return { passed: kind === "passed", source, reason, exit_code: exitCode === null ? null : BigInt(exitCode) };
}

/** The newest failure of a gate that sent the job back to the step at `position` or to one before it. */
export function latestRestart(
  steps: readonly StepInContext[],
  model: JobModel | undefined,
  position: number,
): { step: StepInContext; feedback: string } | null {
  let latest: { step: StepInContext; feedback: string; order: number } | null = null;
  for (const step of steps) {
    const target = model?.steps[step.position - 1]?.gate?.restartFrom;
    const targetIndex = model?.steps.findIndex(({ key }) => key !== null && key === target) ?? -1;
    if (target == null || targetIndex === -1 || targetIndex + 1 > position) continue;
    const failed = step.attempts.findLast(({ feedback }) => feedback !== null);
    if (failed?.feedback == null || (latest && latest.order > failed.order)) continue;
    // As it was when it failed: attempts that came after it do not show yet.
    const attempts = step.attempts.filter(({ order }) => order <= failed.order);
    latest = { step: { ...step, status: failed.status, attempts }, feedback: failed.feedback, order: failed.order };
  }
  return latest;
}
