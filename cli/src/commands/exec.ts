import { basename, posix, resolve } from "node:path";
import { ClientError } from "@shipfox/client/client-error";
import type { RunDetail } from "@shipfox/shared/api/runs";
import { type Command, Option } from "commander";
import { CliError, usageError } from "../cli-error.ts";
import { type CommandContext, finishCommand, type JsonOption } from "../command-context.ts";
import { fireable } from "../exec/fireable.ts";
import { LocalRun } from "../exec/local-run.ts";
import { pathInRepository, takeSnapshot } from "../exec/snapshot.ts";
import { EXIT, exitCodeOfRun } from "../exit-codes.ts";
import { followRun } from "../follow.ts";
import { parseInputs } from "../inputs.ts";
import { readTextFile } from "../read-file.ts";
import { renderDiagnostic } from "../render/diagnostics.ts";
import { jsonSink } from "../render/follow-json.ts";
import { textSink } from "../render/follow-text.ts";
import { withProgress } from "../render/progress.ts";
import { WORKFLOW_FOLDER } from "../workflow-files.ts";

interface ExecOptions extends JsonOption {
  input?: string[];
  secret?: string[];
  var?: string[];
  sandbox: "docker" | "host";
  image?: string;
}

export function registerExec(program: Command, context: CommandContext): void {
  const command = program
    .command("exec")
    .description(
      "run a workflow file on this machine, without a server: the working tree as it is, with the same rules",
    )
    .argument("<file>", "the workflow file")
    .option("-i, --input <k=v>", "an input: key=text or key:=json; may be repeated", collect)
    .option("--secret <name>", "a secret, from the environment variable of this name; may be repeated", collect)
    .option("--var <k=v>", "a variable; may be repeated", collect)
    .addOption(
      new Option("--sandbox <kind>", "where steps run: docker, or host for this machine itself")
        .choices(["docker", "host"])
        .default("docker"),
    )
    .option("--image <image>", "the image of jobs that name none")
    .action((file: string, options: ExecOptions) => exec(context, file, options));
  finishCommand(
    command,
    "shipfox exec .shipfox/workflows/ci.yml",
    "shipfox exec deploy.yml --input target=staging --secret DEPLOY_KEY --var REGION=eu",
    "shipfox exec ci.yml --sandbox host --json",
  );
}

async function exec(context: CommandContext, named: string, options: ExecOptions): Promise<void> {
  const { terminal } = context;
  const inputs = parseInputs(options.input ?? []);
  const secrets = Object.fromEntries((options.secret ?? []).map((name) => [name, secretOf(context, name)]));
  const variables = Object.fromEntries((options.var ?? []).map(keyAndValue));
  const text = await readTextFile(context.cwd, named, "shipfox exec --help");
  await check(context, named, text);
  const file = resolve(context.cwd, named);
  const path = await pathInRepository(file, posix.join(WORKFLOW_FOLDER, basename(file)));
  const start = fireable({ path, text });

  const { stop, hurry, dispose } = listenForSignals();
  const dim = terminal.errorColors.dim;
  const say = (line: string) => terminal.note(dim(line));
  const local = await LocalRun.open({ ...options, image: options.image, secrets, variables, say, stop });
  try {
    const snapshot = await takeSnapshot(local.folder, file, [start.file]);
    if (!snapshot.hasWorkingTree) say("no git repository here: a checkout gives the workflow file alone");
    if (start.triggerAdded)
      say("no manual trigger in the file: it is started as if it had one, so there is no event to read");
    const runId = await withProgress(terminal, "Starting a control plane and a runner for this run", async () =>
      local.fire(await local.begin(snapshot.repository, path), inputs),
    );
    const sink = options.json ? jsonSink(terminal) : textSink(terminal);
    const run = await local.whileServing(followRun({ api: local.api, runId, sink, signal: stop }));
    await tell(context, options, run);
  } catch (error) {
    if (stop.aborted) context.exitCode = EXIT.interrupted;
    else {
      if (!(error instanceof CliError || error instanceof ClientError)) say(local.tails());
      throw error;
    }
  } finally {
    if (stop.aborted) say("stopping everything; once more Ctrl-C does it at once");
    await local.close(hurry);
    dispose();
  }
}

async function tell(context: CommandContext, options: ExecOptions, run: RunDetail | null): Promise<void> {
  context.exitCode = run === null ? EXIT.interrupted : exitCodeOfRun(run.status);
  if (options.json && run !== null)
    await context.terminal.print(JSON.stringify({ type: "result", status: run.status, exit_code: context.exitCode }));
}

/** Before anything is started: the faults of a file are found in milliseconds. */
async function check({ terminal }: CommandContext, file: string, text: string): Promise<void> {
  const { parseWorkflow } = await import("@shipfox/control-plane/workflow");
  const result = parseWorkflow(text);
  if (result.ok) return;
  const style = { severity: "error", colors: terminal.errorColors, excerpt: terminal.stderr.isTTY === true } as const;
  for (const fault of result.diagnostics) terminal.note(renderDiagnostic(file, text, fault, style));
  throw new CliError(`${file} has ${result.diagnostics.length} fault(s).`, {
    exitCode: EXIT.failed,
    code: "invalid-workflow",
    next: [`shipfox validate ${file}`],
  });
}

function secretOf({ env }: CommandContext, name: string): string {
  const value = env[name];
  if (value) return value;
  throw usageError(
    `There is no environment variable ${name} to take the secret from.`,
    `${name}=… shipfox exec … --secret ${name}`,
  );
}

function keyAndValue(pair: string): [string, string] {
  const separator = pair.indexOf("=");
  if (separator < 1)
    throw usageError(`The variable "${pair}" is not key=value.`, "shipfox exec ci.yml --var REGION=eu");
  return [pair.slice(0, separator), pair.slice(separator + 1)];
}

/** The first signal stops, a second one stops without patience. */
function listenForSignals(): { stop: AbortSignal; hurry: AbortSignal; dispose: () => void } {
  const stop = new AbortController();
  const hurry = new AbortController();
  const onSignal = () => (stop.signal.aborted ? hurry.abort() : stop.abort());
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  return {
    stop: stop.signal,
    hurry: hurry.signal,
    dispose: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}
