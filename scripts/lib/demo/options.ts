import { parseArgs } from "node:util";

const MAX_PORT = 65_535;

export interface DemoOptions {
  /** A git URL or a path; null is the demo's own sample. */
  readonly repository: string | null;
  /** Name or file of the workflow to run; null is the only one that can be started by hand. */
  readonly workflow: string | null;
  /** Image of jobs that name none; null is the runner's default. */
  readonly image: string | null;
  /** Null is the usual port, or a free one when that is taken. */
  readonly port: number | null;
  readonly help: boolean;
}

export const DEMO_HELP = `Usage: scripts/demo [options]

Starts a control plane and a runner, runs a workflow and shows its live log. On a terminal it stays up until Ctrl-C;
without one it ends with the run's result: 0 when the run succeeded.

  --repo <git URL or path>  the repository to run; of a path, what is committed. Default: a small sample
  --workflow <name>         the workflow to run. Default: the only one that can be started by hand
  --image <image>           the image for jobs that name none. Default: the sandbox image
  --port <port>             the control plane's port. Default: 16101, or a free one when it is taken
  --stop-docker             end a Docker Engine that was started by these scripts, and nothing else
`;

export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Throws UsageError with a sentence for people. */
export function readDemoOptions(argv: readonly string[]): DemoOptions {
  const values = parse(argv);
  return {
    repository: values.repo ?? null,
    workflow: values.workflow ?? null,
    image: values.image ?? null,
    port: values.port === undefined ? null : parsePort(values.port),
    help: values.help ?? false,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        repo: { type: "string" },
        workflow: { type: "string" },
        image: { type: "string" },
        port: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}. See scripts/demo --help.`);
  }
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= MAX_PORT) return port;
  throw new UsageError(`--port ${text}: expected a number from 1 to ${MAX_PORT}.`);
}
