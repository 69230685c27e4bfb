import type { CommandContext, JsonOption } from "../command-context.ts";
import { EXIT, type ExitCode, exitCodeOfRun } from "../exit-codes.ts";
import { type FollowOptions, followRun } from "../follow.ts";

/**
 * Follows a run until it ends or the user presses Ctrl-C, which leaves the run alone and says how to go on. Returns the
 * exit code that tells the run's result.
 */
export async function watchRun(
  context: CommandContext,
  options: JsonOption,
  follow: Omit<FollowOptions, "signal">,
): Promise<ExitCode> {
  const { terminal } = context;
  const detach = new AbortController();
  const onInterrupt = () => detach.abort();
  process.once("SIGINT", onInterrupt);
  process.once("SIGTERM", onInterrupt);
  try {
    const run = await followRun({ ...follow, signal: detach.signal });
    if (!run) {
      const dim = terminal.errorColors.dim;
      terminal.note("\nStopped watching; the run goes on.");
      terminal.note(`  ${dim("watch again:")} shipfox logs ${follow.runId} -f`);
      terminal.note(`  ${dim("cancel it:")}   shipfox runs cancel ${follow.runId}`);
      return EXIT.interrupted;
    }
    if (options.json) {
      const result = { type: "result", workflow_run_id: run.id, number: run.number, status: run.status };
      await terminal.print(JSON.stringify(result));
    }
    return exitCodeOfRun(run.status);
  } finally {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
  }
}
