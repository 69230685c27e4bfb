/** Exit codes of every command, above 2 as in sysexits.h; scripts rely on them, so a code never changes its meaning. */
export const EXIT = {
  /** The command did what it was asked; for `run --follow`, the run succeeded. */
  ok: 0,
  /** The run failed, a workflow file has faults, a sync failed, `logs --grep` found nothing, or `doctor` found something broken. */
  failed: 1,
  /** The command line is wrong, or names something that does not exist here. */
  usage: 64,
  /** The run was cancelled. */
  cancelled: 2,
  /** The control plane refused, answered something unexpected, or did not answer. */
  api: 69,
  /** A fault of this program. */
  internal: 70,
  /** Ctrl-C. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The exit code of a command that waited for a run to end. */
export function exitCodeOfRun(status: string): ExitCode {
  if (status === "succeeded") return EXIT.ok;
  return status === "cancelled" ? EXIT.cancelled : EXIT.failed;
}
