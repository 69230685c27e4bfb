import type { Client } from "@shipfox/client";
import { ClientError } from "@shipfox/client/client-error";
import type { RunDetail } from "@shipfox/shared/api/runs";
import { decodeLogRecords, type LogRecord } from "@shipfox/shared/log-records";
import { type Command, InvalidArgumentError } from "commander";
import type { LogPage } from "@shipfox/shared/api/logs";
import { chooseRun, type Scope } from "../choose.ts";
import { usageError } from "../cli-error.ts";
import { type CommandContext, finishCommand, type JsonOption } from "../command-context.ts";
import { EXIT } from "../exit-codes.ts";
import type { FollowSink } from "../follow.ts";
import { type LogEvent, type OutputEvent, planOutput } from "../plan-output.ts";
import { jsonSink } from "../render/follow-json.ts";
import { GrepSink } from "../render/grep.ts";
import { rawSink, textSink } from "../render/follow-text.ts";
import { openSession } from "../session.ts";
import { followToEnd } from "./watch-run.ts";

interface LogsOptions extends JsonOption, Scope {
  follow?: boolean;
  job?: string;
  step?: string;
  raw?: boolean;
  grep?: RegExp;
}

export function registerLogs(program: Command, context: CommandContext): void {
  const command = program
    .command("logs")
    .description("print the logs of a run")
    .argument("<run>", "id of the run, its number, or its workflow and number such as ci#7")
    .option("-f, --follow", "go on until the run ends")
    .option("--job <job>", "only this job (its key)")
    .option("--step <step>", "only this step (its key or name)")
    .option(
      "--grep <pattern>",
      "only lines of the steps' output in which this regular expression is found; exit 1 when there is none",
      parsePattern,
    )
    .option("--raw", "the log as it was written, without prefixes")
    .option("-p, --project <project>", "slug or id of the project, when the run is given by number")
    .option("-w, --workspace <workspace>", "slug or id of the workspace, when the run is given by number")
    .action((run: string, options: LogsOptions) => logs(context, run, options));
  finishCommand(
    command,
    "shipfox logs 01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11",
    "shipfox logs 7 -f --job build",
    "shipfox logs 7 --job build --step test --raw > test.log",
    "shipfox logs ci#7 -f --grep '(?i:error|warning)'",
    "shipfox logs 7 --step 'Set up job' --grep 'Checked out'",
  );
}

async function logs(context: CommandContext, reference: string, options: LogsOptions): Promise<void> {
  if (options.raw && options.json) {
    throw usageError("--raw and --json exclude each other.", "shipfox logs --help");
  }
  if (options.grep && options.json) {
    throw usageError("--grep and --json exclude each other.", "search the document: shipfox logs … --json | jq …");
  }
  const { api } = await openSession(context.env);
  const runId = await chooseRun(api, reference, options);
  const run = await api.runs.get({ id: runId });
  const accepts = searched(selector(run, options), options);
  const sink = sinkFor(context, options);
  if (options.follow) {
    const code = await followToEnd(context, options, { api, runId, sink, accepts });
    context.exitCode = code === EXIT.interrupted ? code : EXIT.ok;
  } else {
    const wanted = planOutput(null, run).filter(accepts);
    if (options.json) await printLogDocument(context, api, run, wanted);
    else await printLogs(api, wanted, sink);
  }
  if (sink instanceof GrepSink && sink.found === 0 && context.exitCode === EXIT.ok) context.exitCode = EXIT.failed;
}

function sinkFor({ terminal }: CommandContext, { raw = false, json, grep }: LogsOptions): FollowSink {
  if (json) return jsonSink(terminal);
  if (grep) return new GrepSink(terminal, grep, { raw });
  return raw ? rawSink(terminal) : textSink(terminal);
}

function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

/** Which events belong to `--job` and `--step`. Throws a usage error when the run has no such job or step. */
function selector(run: RunDetail, { job, step }: LogsOptions): (event: OutputEvent) => boolean {
  const jobs = run.jobs.filter((candidate) => job === undefined || candidate.key === job);
  if (jobs.length === 0) {
    throw usageError(
      `The run has no job "${job}"; it has: ${run.jobs.map(({ key }) => key).join(", ")}.`,
      `shipfox runs view ${run.id}`,
    );
  }
  const steps = jobs.flatMap((candidate) => candidate.job_executions).flatMap((execution) => execution.steps);
  const names = new Set(steps.filter(({ key, name }) => step === key || step === name).map(({ name }) => name));
  if (step !== undefined && steps.length > 0 && names.size === 0) {
    const choices = [...new Set(steps.map(({ key, name }) => key ?? name))];
    throw usageError(`The run has no step "${step}"; it has: ${choices.join(", ")}.`, `shipfox runs view ${run.id}`);
  }
  return (event) => {
    if (event.type === "run") return job === undefined && step === undefined;
    if (job !== undefined && event.job !== job) return false;
    if (step === undefined) return true;
    if (event.type !== "step" && event.type !== "log") return false;
    return event.step === step || names.has(event.step) || (event.type === "log" && event.step_key === step);
  };
}

/** A search is for what steps printed: the setup of a job, which is the runner's talk, is searched when it is named. */
function searched(
  accepts: (event: OutputEvent) => boolean,
  { grep, step }: LogsOptions,
): (event: OutputEvent) => boolean {
  if (grep === undefined || step !== undefined) return accepts;
  return (event) => accepts(event) && !(event.type === "log" && event.step_type === "setup");
}

async function printLogs(api: Client, events: readonly OutputEvent[], sink: FollowSink): Promise<void> {
  for (const event of events) {
    if (event.type !== "log") {
      await sink.event(event);
      continue;
    }
    let truncated = false;
    for await (const page of readPages(api, event)) {
      truncated = page.truncated;
      await sink.records(event, page.records);
    }
    await sink.logEnded(event, { truncated, complete: true });
  }
}

async function printLogDocument(
  context: CommandContext,
  api: Client,
  run: RunDetail,
  events: readonly OutputEvent[],
): Promise<void> {
  const documents = [];
  for (const event of events.filter((candidate) => candidate.type === "log")) {
    const records: LogRecord[] = [];
    let truncated = false;
    for await (const page of readPages(api, event)) {
      truncated = page.truncated;
      records.push(...page.records);
    }
    const { job, step, step_id, attempt } = event;
    documents.push({ job, step, step_id, attempt, truncated, records });
  }
  await context.terminal.print(JSON.stringify({ workflow_run_id: run.id, status: run.status, logs: documents }));
}

/** The pages there are now; none when nothing was written yet or the log is past its retention time. */
async function* readPages(
  api: Client,
  log: LogEvent,
): AsyncGenerator<{ records: LogRecord[]; truncated: boolean }, void> {
  for (let cursor = 0, more = true; more; ) {
    let page: LogPage;
    try {
      page = await api.logs.page({ stepId: log.step_id, attempt: log.attempt, cursor });
    } catch (error) {
      if (error instanceof ClientError && error.status === 404) return;
      throw error;
    }
    yield { records: decodeLogRecords(page.ndjson), truncated: page.truncated };
    more = page.has_more && page.next_cursor > cursor;
    cursor = page.next_cursor;
  }
}
