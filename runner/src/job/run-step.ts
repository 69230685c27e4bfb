import { posix } from "node:path";
import { formatDuration } from "@shipfox/shared/durations";
import { type RunConfig, runConfigSchema } from "@shipfox/shared/machine";
import type { ExecResult } from "../sandbox/sandbox.ts";
import { SandboxError } from "../sandbox/sandbox-error.ts";
import { workspaceFault } from "./checkout-fault.ts";
import type { StepContext } from "./step-context.ts";
import { stepEnv } from "./step-env.ts";
import type { StepFiles } from "./step-files.ts";
import { fetchStepSecrets } from "./step-secrets.ts";
import { afterSandboxFault, failed, type StepResult } from "./step-result.ts";
import { findFolderFault } from "./working-directory.ts";

const MAX_TITLE_CHARS = 120;

/** Runs one command of the user in the job's sandbox and turns its end into a report. */
export async function runRunStep(context: StepContext): Promise<StepResult> {
  const { log, sandbox, stop } = context;
  const parsed = runConfigSchema.safeParse(context.step.config);
  if (!parsed.success)
    return failed({
      message: `The step's configuration is not understood: ${parsed.error.message}`,
      reason: "config_unresolvable",
    });
  const config = parsed.data;
  logCommand(context, config);
  try {
    await context.files.getWaiting({ sandbox, log, signal: stop.signal });
  } catch (error) {
    return workspaceFault(error, context, "workspace_prep_failed");
  }
  try {
    const wrongFolder = await findFolderFault(sandbox, config.working_directory, stop.signal);
    if (wrongFolder !== null) {
      log.line(`Error: ${wrongFolder}`, "stderr");
      return failed({ message: wrongFolder, field: "working_directory" });
    }
    const secrets = await fetchStepSecrets(context, config.secret_bindings ?? []);
    if (secrets.kind === "result") return secrets.result;
    const files = await context.stepFiles.take();
    const env = stepEnv(context, { ...config.env, ...secrets.env }, files.variables);
    const { result, timedOut } = await execute(context, config, env);
    log.flush();
    await registerPostJob(context, files, env);
    const overLimit = context.overLimit.aborted && !stop.signal.aborted;
    if (result.kind === "stopped" && !timedOut && !overLimit) return { kind: "stopped" };
    const handedOver = await takeFiles(context, files);
    if (result.kind === "stopped" && overLimit) return overDiskLimit(context, handedOver.outputs);
    if (timedOut) return timeOut(context, config.timeout_ms as number, handedOver.outputs);
    return conclude(context, result, handedOver);
  } catch (error) {
    log.flush();
    if (stop.signal.aborted) return { kind: "stopped" };
    if (!(error instanceof SandboxError)) throw error;
    log.line(`Error: ${error.message}`, "stderr");
    return afterSandboxFault(error);
  }
}

function logCommand({ log, sandbox }: StepContext, config: RunConfig): void {
  const command = config.run.trimEnd();
  const firstLine = command.trimStart().split("\n", 1)[0] as string;
  const title = firstLine.length > MAX_TITLE_CHARS ? `${firstLine.slice(0, MAX_TITLE_CHARS - 1)}…` : firstLine;
  const folder = config.working_directory
    ? posix.resolve(sandbox.workspaceInside, config.working_directory)
    : sandbox.workspaceInside;
  log.group(`Run ${title}`, [
    ...command.split("\n"),
    "",
    "shell: bash -eo pipefail, or sh -e without bash",
    `working-directory: ${folder}`,
  ]);
}

async function execute(
  context: StepContext,
  config: RunConfig,
  env: Record<string, string>,
): Promise<{ result: ExecResult; timedOut: boolean }> {
  const { sandbox, stop, log, cancelGraceMs, clock } = context;
  const timeout = new AbortController();
  const forget = clock.after(config.timeout_ms ?? Number.POSITIVE_INFINITY, () => timeout.abort());
  try {
    const running = sandbox.exec({
      script: config.run,
      env,
      path: context.environment.path,
      workingDirectory: config.working_directory ?? null,
      onOutput: (stream, chunk) => log.write(stream, chunk),
      signal: AbortSignal.any([stop.signal, timeout.signal, context.overLimit]),
      graceMs: stop.hardSignal.aborted ? 0 : cancelGraceMs,
    });
    context.stepFiles.prepare();
    const result = await running;
    return { result, timedOut: result.kind === "stopped" && timeout.signal.aborted && !stop.signal.aborted };
  } finally {
    forget();
  }
}

/** Also of a step that failed or was stopped: what it made may be half there. */
async function registerPostJob(context: StepContext, files: StepFiles, env: Record<string, string>): Promise<void> {
  const { log, step, postJob, environment } = context;
  const read = await files.readPostJob();
  if (read.kind === "invalid") log.line(`Warning: ${read.message}`, "stderr");
  else if (read.text.trim() !== "")
    postJob.register({ step: step.name, script: read.text, env, path: environment.path });
}

interface HandedOver {
  outputs: Record<string, string>;
  /** Why a step that succeeded has failed after all, or null. */
  fault: string | null;
}

/** Takes what the step wrote to its files, also when it failed: its outputs, what it sets for later steps, annotations. */
async function takeFiles(context: StepContext, files: StepFiles): Promise<HandedOver> {
  const { log, masker, environment, annotations } = context;
  const [outputs, env, path, said] = await Promise.all([
    files.readOutputs(masker),
    files.readEnv(masker),
    files.readPath(masker),
    files.readAnnotations(),
  ]);
  annotations.add(said.operations);
  for (const fault of said.faults) log.line(`Warning: ${fault}`, "stderr");
  const faults = [
    outputs.kind === "invalid" ? outputs.message : null,
    env.kind === "invalid" ? env.message : environment.addVariables(env.variables),
    path.kind === "invalid" ? path.message : environment.addFolders(path.folders),
  ].filter((fault) => fault !== null);
  for (const fault of faults) log.line(`Error: ${fault}`, "stderr");
  return { outputs: outputs.kind === "outputs" ? outputs.outputs : {}, fault: faults[0] ?? null };
}

function conclude({ log }: StepContext, result: ExecResult, { outputs, fault }: HandedOver): StepResult {
  if (result.exitCode !== 0) {
    const message =
      result.signal === null
        ? `exited with code ${result.exitCode}`
        : `exited with code ${result.exitCode} (${result.signal})`;
    log.line(`Error: ${message}`, "stderr");
    return failed(
      { message, exit_code: result.exitCode, ...(result.signal === null ? {} : { signal: result.signal }) },
      { output: outputs },
    );
  }
  if (fault !== null) return failed({ message: fault, reason: "output_invalid", exit_code: 0 });
  return { kind: "report", report: { status: "succeeded", exit_code: 0, output: outputs } };
}

function timeOut({ log }: StepContext, timeoutMs: number, outputs: Record<string, string>): StepResult {
  const message = `timed out after ${formatDuration(timeoutMs)}`;
  log.line(`Error: ${message}`, "stderr");
  return failed({ message, reason: "timed_out", exit_code: null }, { output: outputs });
}

/** The user's failure: the workflow writes too much, wherever it runs. */
function overDiskLimit({ log, overLimit }: StepContext, outputs: Record<string, string>): StepResult {
  const message = (overLimit.reason as Error).message;
  log.line(`Error: ${message}`, "stderr");
  return failed({ message, reason: "disk_limit", exit_code: null }, { output: outputs });
}
