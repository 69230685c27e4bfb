import { realpath } from "node:fs/promises";
import { join, posix } from "node:path";
import { formatDuration } from "@shipfox/shared/durations";
import { type RunConfig, runConfigSchema } from "@shipfox/shared/machine";
import { type ExecResult, type StepFile } from "../sandbox/sandbox.ts";
import { SandboxError } from "../sandbox/sandbox-error.ts";
import { readStepFile } from "../sandbox/step-file.ts";
import { MAX_OUTPUT_FILE_BYTES, type ParsedOutputs, parseOutputs } from "./outputs.ts";
import type { StepContext } from "./step-context.ts";
import { afterSandboxFault, failed, type StepResult } from "./step-result.ts";

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
  const wrongFolder = await findFolderFault(sandbox.workspace, sandbox.workspaceInside, config.working_directory);
  if (wrongFolder !== null) {
    log.line(`Error: ${wrongFolder}`, "stderr");
    return failed({ message: wrongFolder, field: "working_directory" });
  }
  try {
    const outputFile = await sandbox.createStepFile(`output-${context.step.position}-${context.attempt}`);
    const { result, timedOut } = await execute(context, config, outputFile);
    log.flush();
    if (result.kind === "stopped" && !timedOut) return { kind: "stopped" };
    const outputs = await readOutputs(context, outputFile);
    if (timedOut) return timeOut(context, config.timeout_ms as number, outputs);
    return conclude(context, result, outputs);
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

/** What is wrong with a working directory, or null. Links that lead out of the workspace are refused. */
async function findFolderFault(workspace: string, inside: string, folder: string | undefined): Promise<string | null> {
  if (folder === undefined) return null;
  const resolved = posix.resolve(inside, folder);
  const relative = posix.relative(inside, resolved);
  const outside = `working_directory ${JSON.stringify(folder)} is outside of the workspace; give a folder below it.`;
  if (relative === ".." || relative.startsWith("../")) return outside;
  const [root, found] = await Promise.all([realpath(workspace), realpath(join(workspace, relative)).catch(() => null)]);
  if (found === null) return `working_directory ${JSON.stringify(folder)} does not exist in the workspace.`;
  return found === root || found.startsWith(`${root}/`) ? null : outside;
}

async function execute(
  context: StepContext,
  config: RunConfig,
  outputFile: StepFile,
): Promise<{ result: ExecResult; timedOut: boolean }> {
  const { sandbox, stop, log, cancelGraceMs } = context;
  const timeout = new AbortController();
  // Longer than a timer can hold means longer than any job may run.
  const timer =
    config.timeout_ms !== undefined && config.timeout_ms < 2 ** 31
      ? setTimeout(() => timeout.abort(), config.timeout_ms)
      : undefined;
  try {
    const result = await sandbox.exec({
      script: config.run,
      env: stepEnv(context, config, outputFile),
      workingDirectory: config.working_directory ?? null,
      onOutput: (stream, chunk) => log.write(stream, chunk),
      signal: AbortSignal.any([stop.signal, timeout.signal]),
      graceMs: stop.hardSignal.aborted ? 0 : cancelGraceMs,
    });
    return { result, timedOut: result.kind === "stopped" && timeout.signal.aborted && !stop.signal.aborted };
  } finally {
    clearTimeout(timer);
  }
}

/** The step's own variables, under ours: what says who the job is cannot be changed by the workflow. */
function stepEnv(
  { claim, step, attempt, sandbox, runnerName }: StepContext,
  config: RunConfig,
  outputFile: StepFile,
): Record<string, string> {
  const job = claim.job;
  const identity: Record<string, string | undefined> = {
    SHIPFOX: "true",
    SHIPFOX_WORKSPACE: sandbox.workspaceInside,
    SHIPFOX_OUTPUT: outputFile.inside,
    SHIPFOX_WORKSPACE_ID: job?.workspace_id,
    SHIPFOX_PROJECT_ID: job?.project_id,
    SHIPFOX_PROJECT_NAME: job?.project_name,
    SHIPFOX_WORKFLOW_NAME: job?.workflow_name,
    SHIPFOX_RUN_ID: claim.workflow_run_id,
    SHIPFOX_RUN_NUMBER: job?.run_number.toString(),
    SHIPFOX_RUN_ATTEMPT: job?.run_attempt.toString(),
    SHIPFOX_JOB_ID: claim.job_id,
    SHIPFOX_JOB_KEY: job?.job_key,
    SHIPFOX_JOB_EXECUTION_ID: claim.job_execution_id,
    SHIPFOX_STEP_ID: step.id,
    SHIPFOX_STEP_KEY: step.key ?? undefined,
    SHIPFOX_STEP_ATTEMPT: attempt.toString(),
    SHIPFOX_RUNNER_NAME: runnerName,
  };
  const known = Object.entries(identity).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { CI: "true", ...config.env, ...Object.fromEntries(known) };
}

async function readOutputs({ masker }: StepContext, file: StepFile): Promise<ParsedOutputs> {
  const found = await readStepFile(file.host, MAX_OUTPUT_FILE_BYTES);
  switch (found.kind) {
    case "missing":
      return { kind: "outputs", outputs: {} };
    case "not_regular":
      return { kind: "invalid", message: "SHIPFOX_OUTPUT is not a regular file any more." };
    case "too_large":
      return { kind: "invalid", message: `SHIPFOX_OUTPUT has more than ${found.maxBytes} bytes.` };
    case "content":
      return parseOutputs(masker.mask(found.content.toString("utf8").replaceAll("\0", "\uFFFD")));
  }
}

function conclude({ log }: StepContext, result: ExecResult, outputs: ParsedOutputs): StepResult {
  const output = outputs.kind === "outputs" ? outputs.outputs : {};
  if (result.exitCode !== 0) {
    const message =
      result.signal === null
        ? `exited with code ${result.exitCode}`
        : `exited with code ${result.exitCode} (${result.signal})`;
    log.line(`Error: ${message}`, "stderr");
    return failed(
      { message, exit_code: result.exitCode, ...(result.signal === null ? {} : { signal: result.signal }) },
      { output },
    );
  }
  if (outputs.kind === "invalid") {
    log.line(`Error: ${outputs.message}`, "stderr");
    return failed({ message: outputs.message, reason: "output_invalid", exit_code: 0 });
  }
  return { kind: "report", report: { status: "succeeded", exit_code: 0, output } };
}

function timeOut({ log }: StepContext, timeoutMs: number, outputs: ParsedOutputs): StepResult {
  const message = `timed out after ${formatDuration(timeoutMs)}`;
  log.line(`Error: ${message}`, "stderr");
  return failed(
    { message, reason: "timed_out", exit_code: null },
    { output: outputs.kind === "outputs" ? outputs.outputs : {} },
  );
}
