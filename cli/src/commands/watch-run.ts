import type { Client } from "@shipfox/client";
import type { RunDetail } from "@shipfox/shared/api/runs";
import type { CommandContext, JsonOption } from "../command-context.ts";
import { EXIT, type ExitCode, exitCodeOfRun } from "../exit-codes.ts";
import { type FollowOptions, followRun } from "../follow.ts";
import { RunView } from "../live/run-view.ts";
import { jsonSink } from "../render/follow-json.ts";
import { textSink } from "../render/follow-text.ts";

/**
 * Shows a run until it ends or the user presses Ctrl-C: as a tree on a terminal, as lines in a pipe, as NDJSON with `--json`.
 * Returns the exit code that tells the run's result.
 */
export async function watchRun(
  context: CommandContext,
  options: JsonOption,
  { api, runId }: { api: Client; runId: string },
): Promise<ExitCode> {
  const { terminal } = context;
  if (options.json) return await followToEnd(context, options, { api, runId, sink: jsonSink(terminal) });
  if (terminal.screen === null) return await followToEnd(context, options, { api, runId, sink: textSink(terminal) });
  const view = new RunView(terminal, terminal.screen);
  let run: RunDetail | null;
  try {
    run = await untilInterrupted((signal) => followRun({ api, runId, sink: view, accepts: view.accepts, signal }));
  } finally {
    view[Symbol.dispose]();
  }
  if (run === null) return tellHowToGoOn(context, runId);
  await terminal.print(view.summary(run));
  return exitCodeOfRun(run.status);
}

/**
 * Follows a run with a sink of the caller's until it ends or the user presses Ctrl-C. Returns the exit code that tells the
 * run's result.
 */
export async function followToEnd(
  context: CommandContext,
  options: JsonOption,
  follow: Omit<FollowOptions, "signal">,
): Promise<ExitCode> {
  const run = await untilInterrupted((signal) => followRun({ ...follow, signal }));
  if (!run) return tellHowToGoOn(context, follow.runId);
  if (options.json) {
    const result = { type: "result", workflow_run_id: run.id, number: run.number, status: run.status };
    await context.terminal.print(JSON.stringify(result));
  }
  return exitCodeOfRun(run.status);
}

async function untilInterrupted<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const detach = new AbortController();
  const onInterrupt = () => detach.abort();
  process.once("SIGINT", onInterrupt);
  process.once("SIGTERM", onInterrupt);
  try {
    return await work(detach.signal);
  } finally {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
  }
}

function tellHowToGoOn({ terminal }: CommandContext, runId: string): ExitCode {
  const dim = terminal.errorColors.dim;
  terminal.note("\nStopped watching; the run goes on.");
  terminal.note(`  ${dim("watch again:")} shipfox runs watch ${runId}`);
  terminal.note(`  ${dim("its logs:")}    shipfox logs ${runId} -f`);
  terminal.note(`  ${dim("cancel it:")}   shipfox runs cancel ${runId}`);
  return EXIT.interrupted;
}
