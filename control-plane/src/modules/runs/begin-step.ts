import { newId } from "@shipfox/shared/ids";
import type { CheckoutConfig, RunConfig } from "@shipfox/shared/machine";
import type { WriteTx } from "../../store/store.ts";
import { type CheckoutStepModel, type JobModel, literalTextOf, type Template } from "../workflow/public.ts";
import { type Viewpoint, viewpointOf } from "./contexts.ts";
import { fill, type Filled, fillName, judge, type Verdict } from "./evaluate.ts";
import { MAX_ERROR_MESSAGE_CHARS } from "@shipfox/shared/api/runs";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import { secretBindings } from "./step-configs.ts";
import { configureStep, type ExecutionFacts, finishStep, startStep, type StepFacts } from "./store.ts";

const FOLDER = "working_directory";

/** From where the expressions of a step look when it is about to start. */
function viewpointOfStep(facts: ExecutionFacts, step: StepFacts): Viewpoint {
  return {
    ...viewpointOf(facts, JSON.parse(facts.job_model) as JobModel),
    step: { at: "dispatch", position: step.position, attempt: step.currentAttempt },
  };
}

/** What the condition of a step says now. */
export async function judgeStep(tx: WriteTx, deps: RunsDeps, facts: ExecutionFacts, step: StepFacts): Promise<Verdict> {
  return (await judge(tx, deps, viewpointOfStep(facts, step), step.rules?.if ?? "")).verdict;
}

/** Starts a step with its expressions filled. One that cannot be filled has failed without reaching the runner. */
export async function beginStep(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  step: StepFacts,
  now: number,
): Promise<StepFacts> {
  const filled = await fillStep(tx, deps, facts, step, now);
  const started = { ...step, ...(filled.ok ? filled.fields : {}), status: "running" as const };
  await startStep(tx, newId(now), step, now);
  const about = { ...facts, stepId: step.id };
  record(tx, about, "step.started", { name: started.name, attempt: step.currentAttempt }, now);
  if (filled.ok) return started;
  await finishStep(
    tx,
    step,
    { status: "failed", exitCode: null, error: JSON.stringify(filled.error), output: null, logOutcome: "drained" },
    now,
  );
  // Nobody will write to its log; who follows the run waits for the end of each.
  const { workspace_id: workspaceId, run_id: runId, id: executionId } = facts;
  const stream = { workspaceId, runId, executionId, stepId: step.id, attempt: step.currentAttempt };
  await deps.logs.closeStream(tx, stream, { truncated: false, now });
  const finished = { name: started.name, attempt: step.currentAttempt, status: "failed", exit_code: null } as const;
  record(tx, about, "step.finished", finished, now);
  return { ...step, status: "failed" };
}

type FilledStep =
  | { readonly ok: true; readonly fields: { readonly name: string; readonly config: string } }
  | { readonly ok: false; readonly error: object };

async function fillStep(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  step: StepFacts,
  now: number,
): Promise<FilledStep> {
  const { rules } = step;
  const { workingDirectoryTemplate, nameTemplate } = rules ?? {};
  const own = rules?.type === "checkout" ? openTarget(rules) : rules?.bindings;
  if (!own && !workingDirectoryTemplate && !nameTemplate)
    return { ok: true, fields: { name: step.name, config: step.config } };
  const viewpoint = viewpointOfStep(facts, step);
  const filled = await fill(tx, deps, viewpoint, {
    ...own,
    ...(workingDirectoryTemplate ? { [FOLDER]: workingDirectoryTemplate } : {}),
  });
  if (!filled.ok) return { ok: false, error: unresolvable(filled, step) };
  const fields = {
    name: (nameTemplate && (await fillName(tx, deps, viewpoint, nameTemplate))) ?? step.name,
    config: JSON.stringify(
      step.type === "checkout" ? targeted(step, filled.templates) : configured(step, filled.templates),
    ),
  };
  await configureStep(tx, step, fields, now);
  return { ok: true, fields };
}

/** Of what a checkout step fetches, what has expressions; undefined when nothing has. */
function openTarget({ target }: CheckoutStepModel): Record<string, Template> | undefined {
  const open = Object.entries(target).filter(([, template]) => template.some(({ kind }) => kind === "expression"));
  return open.length === 0 ? undefined : Object.fromEntries(open);
}

function targeted(step: StepFacts, { [FOLDER]: _folder, ...target }: Record<string, Template>): CheckoutConfig {
  const { checkout } = JSON.parse(step.config) as CheckoutConfig;
  const texts = Object.entries(target).map(([key, template]) => [key, literalTextOf(template)] as const);
  return { checkout: { ...checkout, ...Object.fromEntries(texts) } };
}

function configured(step: StepFacts, { [FOLDER]: folder, ...variables }: Record<string, Template>): RunConfig {
  const texts = Object.entries(variables).filter(([, template]) => template.every(({ kind }) => kind === "literal"));
  const withSecrets = Object.entries(variables).filter(([, template]) =>
    template.some(({ kind }) => kind === "secret"),
  );
  const config = JSON.parse(step.config) as RunConfig;
  const env = {
    ...config.env,
    ...Object.fromEntries(texts.map(([name, template]) => [name, literalTextOf(template)])),
  };
  return {
    ...config,
    ...(Object.keys(env).length > 0 ? { env } : {}),
    ...(withSecrets.length > 0 ? { secret_bindings: secretBindings(Object.fromEntries(withSecrets)) } : {}),
    ...(folder ? { working_directory: literalTextOf(folder) } : {}),
  };
}

function unresolvable({ field, source, message }: Extract<Filled, { ok: false }>, { type }: StepFacts): object {
  const group = type === "checkout" ? "checkout" : "env";
  const where = field.startsWith("__sf_") ? "run" : field === FOLDER ? FOLDER : `${group}.${field}`;
  return {
    message: `\`\${{ ${source} }}\` in \`${where}\` has no value: ${message}`.slice(0, MAX_ERROR_MESSAGE_CHARS),
    reason: "config_unresolvable",
    field: where,
    source: source.slice(0, MAX_ERROR_MESSAGE_CHARS),
    category: "user",
  };
}
