import { resolve } from "node:path";
import type { CreatedRegistrationToken, Runner } from "@shipfox/shared/api/runners";
import { type Command, InvalidArgumentError } from "commander";
import { type WorkspaceOption, withWorkspace } from "../choose-scope.ts";
import { chooseRunner, chooseWorkspace, isOnline, quoteWord } from "../choose.ts";
import { type CommandContext, finishCommand, nextLine, printResult, withExamples } from "../command-context.ts";
import { type ConfirmOptions, confirmOnTerminal, withYesOnTerminal } from "../confirm.ts";
import { writeNewFile } from "../new-file.ts";
import { plainText } from "../render/plain-text.ts";
import { inStatusColor } from "../render/status.ts";
import { renderTable } from "../render/table.ts";
import { age } from "../render/time.ts";
import { openSession } from "../session.ts";
import { parseTtl } from "../ttl.ts";
import { registerRegistrationTokens } from "./registration-tokens.ts";

/** Enough to type the line on the other machine; more is asked for. */
const DEFAULT_LIFE_SECONDS = 15 * 60;
const DEFAULT_USES = 1;
const DEFAULT_LABELS = "linux";
const RELEASES_TIMEOUT_MS = 5_000;
const NOT_FOUND = 404;
const LABELS_PATTERN = /^[A-Za-z0-9._:/-]+(?:,[A-Za-z0-9._:/-]+)*$/;

interface AddOptions extends WorkspaceOption {
  name?: string;
  labels: string;
  maxUses?: number | "any";
  ttl?: number | "never";
  tokenFile?: string;
}

interface ListOptions extends WorkspaceOption {
  online?: boolean;
}

export function registerRunners(program: Command, context: CommandContext): void {
  const runners = withExamples(
    program
      .command("runners")
      .description("add, list, drain and revoke runners, and the tokens with which they register"),
    "shipfox runners add",
    "shipfox runners list",
    "shipfox runners drain build-1",
  );
  finishCommand(
    withWorkspace(
      runners
        .command("add")
        .description("create a registration token and print the line that installs a runner with it"),
    )
      .option("--name <name>", "name of the token, to find it again")
      .option("--labels <labels>", "labels of the runner, separated by commas", parseLabels, DEFAULT_LABELS)
      .option("--max-uses <count>", "how many runners may register with it, or any (default: 1)", parseUses)
      .option("--ttl <duration>", "how long it may be used, such as 7d, or never (default: 15m)", parseLife)
      .option("--token-file <file>", "write the token to this new file, which only you may read, and print it nowhere")
      .action((options: AddOptions) => addRunner(context, options)),
    "shipfox runners add",
    "shipfox runners add --labels linux,x64",
    "shipfox runners add --name build-hosts --max-uses 10 --ttl 7d",
    "shipfox runners add --max-uses 1 --token-file token.txt",
  );
  finishCommand(
    withWorkspace(runners.command("list").description("list the runners of a workspace"))
      .option("--online", "only those that are online or busy")
      .action((options: ListOptions) => listRunners(context, options)),
    "shipfox runners list",
    "shipfox runners list --online",
    "shipfox runners list --json",
  );
  finishCommand(
    withWorkspace(runners.command("drain").description("let a runner finish its jobs and take no more"))
      .argument("<runner>", "name or id")
      .action((runner: string, options: WorkspaceOption) => drainRunner(context, runner, options)),
    "shipfox runners drain build-1",
  );
  finishCommand(
    withYesOnTerminal(
      withWorkspace(runners.command("revoke").description("shut a runner out for good; its jobs run again elsewhere")),
    )
      .argument("<runner>", "name or id")
      .action((runner: string, options: WorkspaceOption & ConfirmOptions) => revokeRunner(context, runner, options)),
    "shipfox runners revoke build-1",
  );
  registerRegistrationTokens(runners, context);
}

async function addRunner(context: CommandContext, options: AddOptions): Promise<void> {
  const { api, url } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const tokenFile = options.tokenFile === undefined ? null : resolve(context.cwd, options.tokenFile);
  const hasReleases = await servesReleases(url);
  const uses = options.maxUses ?? DEFAULT_USES;
  const { token, secret } = await createToken(
    () =>
      api.runners.createToken({
        workspaceId: workspace.workspace_id,
        name: options.name,
        ...(uses === "any" ? {} : { max_uses: uses }),
        ...(options.ttl === "never" ? {} : { ttl_seconds: options.ttl ?? DEFAULT_LIFE_SECONDS }),
      }),
    tokenFile,
  );
  const command = hasReleases ? installerLine(url, options.labels, secret) : startLine(url, options.labels, secret);
  await printResult(context, options, {
    document: { ...token, command },
    text: () => {
      const count = token.max_uses === null ? "any number of runners" : `${token.max_uses} runner(s)`;
      const until = token.expires_at === null ? "until it is revoked" : `until ${token.expires_at}`;
      const where =
        tokenFile === null
          ? "The token is shown only now."
          : `The token is in ${plainText(tokenFile)}: remove the file once it was used.`;
      const name = plainText(workspace.workspace_name);
      return [
        hasReleases
          ? `Install a runner for ${name} on the machine that shall run jobs:`
          : `${url} has no release to install from. Start a runner for ${name} by hand, from a checkout on the machine that shall run jobs:`,
        "",
        `  ${command}`,
        "",
        context.terminal.colors.dim(`${where} It registers ${count} ${until}.`),
        ...(hasReleases || tokenFile !== null
          ? []
          : [nextLine(context, "to have the token in a file alone: shipfox runners add --token-file token.txt")]),
        nextLine(context, "shipfox runners list"),
        nextLine(context, `to revoke the token: shipfox runners tokens revoke ${token.prefix}`),
      ].join("\n");
    },
  });
}

/** Where a runner has its registration token from. */
type TokenSource = { readonly token: string } | { readonly file: string };

/** What a person types, with root's rights, on a machine of its own. */
function installerLine(url: string, labels: string, secret: TokenSource): string {
  const [variable, flag] =
    "token" in secret ? [`SHIPFOX_TOKEN=${secret.token} `, ""] : ["", ` --token-file ${quoteWord(secret.file)}`];
  const insecure = isUnprotected(url) ? " --insecure" : "";
  return `curl -fsSL ${url}/install.sh | sudo ${variable}sh -s -- runner --url ${url} --labels ${labels}${flag}${insecure}`;
}

/** What a person types in a checkout of this repository. */
function startLine(url: string, labels: string, secret: TokenSource): string {
  const token =
    "token" in secret
      ? `SHIPFOX_RUNNER_REGISTRATION_TOKEN=${secret.token}`
      : `SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE=${quoteWord(secret.file)}`;
  return `${token} runner/bin/shipfox-runner --api-url ${url} --labels ${labels}`;
}

/** A control plane that runs from a checkout has none unless it was told where they are; what answers otherwise is not judged here. */
async function servesReleases(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/releases/SHA256SUMS`, { signal: AbortSignal.timeout(RELEASES_TIMEOUT_MS) });
    await answer.body?.cancel();
    return answer.status !== NOT_FOUND;
  } catch {
    return true;
  }
}

/** Plain http that leaves this machine: the installer wants to hear that this is known. */
function isUnprotected(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "http:" && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/** Makes the token; with `tokenFile` only that file has it. */
async function createToken(
  create: () => Promise<CreatedRegistrationToken>,
  tokenFile: string | null,
): Promise<{ token: Omit<CreatedRegistrationToken, "raw_token">; secret: TokenSource }> {
  if (tokenFile === null) {
    const token = await create();
    return { token, secret: { token: token.raw_token } };
  }
  const { promise, resolve: tell } = Promise.withResolvers<Omit<CreatedRegistrationToken, "raw_token">>();
  await writeNewFile(tokenFile, async () => {
    const { raw_token: secret, ...token } = await create();
    tell(token);
    return secret;
  });
  return { token: await promise, secret: { file: tokenFile } };
}

async function listRunners(context: CommandContext, options: ListOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const all = (await api.runners.list({ workspaceId: workspace.workspace_id })).runners;
  const runners = options.online ? all.filter(isOnline) : all;
  const none = all.length === 0 ? "no runner yet" : "no runner that is online";
  await printResult(context, options, {
    document: { runners },
    text: () =>
      runners.length === 0
        ? `${plainText(workspace.workspace_name)} has ${none}.\n${nextLine(context, "shipfox runners add")}`
        : [runnerTable(context, runners), ...runnerNotes(context, runners)].join("\n"),
  });
}

function runnerTable(context: CommandContext, runners: readonly Runner[]): string {
  const { terminal } = context;
  return renderTable(
    terminal,
    [
      { head: "NAME", text: (runner) => runner.name },
      { head: "STATE", text: (runner) => runner.state, style: (text) => inStatusColor(text, text, terminal.colors) },
      { head: "LABELS", text: (runner) => runner.labels.join(","), flex: true },
      { head: "JOBS", text: (runner) => String(runner.jobs.length) },
      { head: "VERSION", text: (runner) => runner.version ?? "-" },
      { head: "SEEN", text: (runner) => age(runner.last_seen_at) },
      { head: "ID", text: (runner) => runner.id, style: (text) => terminal.colors.dim(text), expendable: true },
    ],
    runners,
  );
}

/** What is wrong with a runner, one line each. */
function runnerNotes({ terminal }: CommandContext, runners: readonly Runner[]): string[] {
  return runners.flatMap((runner) =>
    [runner.unhealthy?.reason ?? null, runner.state === "revoked" ? null : runner.version_warning]
      .filter((note) => note !== null)
      .map((note) => terminal.colors.yellow(`${plainText(runner.name)}: ${plainText(note)}`)),
  );
}

async function drainRunner(context: CommandContext, reference: string, options: WorkspaceOption): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id } = await chooseWorkspace(api, options.workspace);
  const chosen = chooseRunner((await api.runners.list({ workspaceId: workspace_id })).runners, reference);
  const runner = await api.runners.drain({ workspaceId: workspace_id, runnerId: chosen.id });
  await printResult(context, options, {
    document: runner,
    text: () => `✓ ${plainText(runner.name)} takes no more jobs; it has ${runner.jobs.length} to finish.`,
  });
}

async function revokeRunner(
  context: CommandContext,
  reference: string,
  options: WorkspaceOption & ConfirmOptions,
): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id } = await chooseWorkspace(api, options.workspace);
  const chosen = chooseRunner((await api.runners.list({ workspaceId: workspace_id })).runners, reference);
  await confirmOnTerminal(context, options, `Shut the runner ${plainText(chosen.name)} out for good?`);
  const runner = await api.runners.revoke({ workspaceId: workspace_id, runnerId: chosen.id });
  await printResult(context, options, {
    document: runner,
    text: () =>
      [
        `✓ ${plainText(runner.name)} is revoked. Its registration token still works until it expires or is used up.`,
        nextLine(context, "to revoke that too: shipfox runners tokens list"),
      ].join("\n"),
  });
}

function parseLife(text: string): number | "never" {
  return text === "never" ? text : parseTtl(text);
}

function parseUses(text: string): number | "any" {
  if (text === "any") return text;
  const uses = Number(text);
  if (Number.isInteger(uses) && uses >= 1) return uses;
  throw new InvalidArgumentError("Expected a whole number of at least 1, or any.");
}

function parseLabels(text: string): string {
  if (LABELS_PATTERN.test(text)) return text;
  throw new InvalidArgumentError("Expected labels separated by commas, such as linux,x64.");
}
