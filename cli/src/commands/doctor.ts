import type { Command } from "commander";
import { CliError } from "../cli-error.ts";
import { type CommandContext, finishCommand, type JsonOption, printResult } from "../command-context.ts";
import { type Finding, lookAtCredentials, lookAtGit, lookAtRunners, lookAtServer } from "../doctor/checks.ts";
import { EXIT } from "../exit-codes.ts";
import { plainText } from "../render/plain-text.ts";
import { openSession, type Session } from "../session.ts";
import type { Colors } from "../terminal.ts";
import { chooseUrl } from "./login.ts";

export function registerDoctor(program: Command, context: CommandContext): void {
  finishCommand(
    program
      .command("doctor")
      .description("look for what keeps this command or workflows from working; exit 1 when something is broken")
      .action((options: JsonOption) => doctor(context, options)),
    "shipfox doctor",
    "shipfox doctor --json | jq '.checks[] | select(.status != \"ok\")'",
  );
}

async function doctor(context: CommandContext, options: JsonOption): Promise<void> {
  const checks = await examine(context);
  const isBroken = checks.some(({ status }) => status === "failed");
  if (isBroken) context.exitCode = EXIT.failed;
  const { colors } = context.terminal;
  await printResult(context, options, {
    document: { ok: !isBroken, checks },
    text: () => checks.map((finding) => findingLines(finding, colors)).join("\n"),
  });
}

/** What needs something that is broken is left out: its cause is told. */
async function examine(context: CommandContext): Promise<Finding[]> {
  const url = await chooseUrl(context, {});
  const [server, session, git] = await Promise.all([
    lookAtServer(url),
    sessionOrFinding(context),
    lookAtGit(context.env),
  ]);
  const findings = [...server.findings];
  if ("status" in session) findings.push(session);
  else if (server.isThere) {
    const credentials = await lookAtCredentials(session);
    findings.push(credentials);
    if (credentials.status === "ok") findings.push(...(await lookAtRunners(session.api)));
  }
  return [...findings, git];
}

async function sessionOrFinding({ env }: CommandContext): Promise<Session | Finding> {
  try {
    return await openSession(env);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { name: "credentials", status: "failed", message: error.message, next: error.next[0] };
  }
}

function findingLines({ name, status, message, next }: Finding, colors: Colors): string {
  const marks = { ok: colors.green("✓"), warning: colors.yellow("!"), failed: colors.red("✗") };
  const line = `${marks[status]} ${name}: ${plainText(message)}`;
  return next === undefined ? line : `${line}\n  ${colors.dim("next:")} ${plainText(next)}`;
}
