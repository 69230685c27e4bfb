import { signedIn } from "@shipfox/client/session";
import { MIN_PASSWORD_CHARS } from "@shipfox/shared/api/accounts";
import type { Command } from "commander";
import { usageError } from "../cli-error.ts";
import {
  type CommandContext,
  finishCommand,
  type JsonOption,
  nextLine,
  printResult,
  withExamples,
} from "../command-context.ts";
import { askSecret, readSecretFromStdin } from "../prompts.ts";
import { plainText } from "../render/plain-text.ts";
import { openClient, openSession, saveSession } from "../session.ts";
import { chooseUrl } from "./login.ts";

const TOKEN_IN_LINK = /sf_(?:pr_[\w-]{43}|rec_[\w-]+\.[\w-]{43})/;

interface StdinOption extends JsonOption {
  stdin?: boolean;
}

interface UrlOption extends StdinOption {
  url?: string;
}

export function registerPassword(program: Command, context: CommandContext): void {
  const password = program.command("password").description("change or reset a password");
  withExamples(password, "shipfox password change", "shipfox password reset ada@example.com", "shipfox password set");
  finishCommand(
    password
      .command("change")
      .description("change your password; your other sessions end")
      .option("--stdin", "read the current and the new password from stdin, a line each")
      .action((options: StdinOption) => changePassword(context, options)),
    "shipfox password change",
  );
  finishCommand(
    password
      .command("reset")
      .description("have a link mailed with which to set a new password")
      .argument("<email>", "e-mail address of the account")
      .option("--url <url>", "address of the control plane (default: the last one)")
      .action((email: string, options: UrlOption) => requestReset(context, email, options)),
    "shipfox password reset ada@example.com",
  );
  finishCommand(
    password
      .command("set")
      .description("set a new password with the link from the mail or from an administrator, and sign in")
      .option("--url <url>", "address of the control plane (default: the last one)")
      .option("--stdin", "read the link and the new password from stdin, a line each")
      .action((options: UrlOption) => setPassword(context, options)),
    "shipfox password set --url https://shipfox.example.com",
  );
}

/** Two secrets: asked for, or the two lines of stdin. */
async function readTwo(
  context: CommandContext,
  options: StdinOption,
  questions: readonly [string, string],
): Promise<[string, string]> {
  if (options.stdin) {
    const [first = "", second = ""] = (await readSecretFromStdin(context.terminal)).split(/\r?\n/);
    return [first, second];
  }
  if (!context.terminal.interactive) throw usageError("There is no terminal to ask on.", "add --stdin");
  return [await askSecret(context.terminal, questions[0]), await askSecret(context.terminal, questions[1])];
}

function requireLong(password: string): void {
  if (password.length < MIN_PASSWORD_CHARS) {
    throw usageError(`A password needs at least ${MIN_PASSWORD_CHARS} characters.`, "shipfox password --help");
  }
}

async function changePassword(context: CommandContext, options: StdinOption): Promise<void> {
  const { api } = await openSession(context.env);
  const [current, next] = await readTwo(context, options, ["Current password", "New password"]);
  requireLong(next);
  await api.auth.changePassword({ current_password: current, new_password: next });
  await printResult(context, options, {
    document: { changed: true },
    text: () => "✓ Your password is changed; your other sessions have ended.",
  });
}

async function requestReset(context: CommandContext, email: string, options: UrlOption): Promise<void> {
  await openClient(await chooseUrl(context, options)).auth.requestReset({ email });
  await printResult(context, options, {
    document: { requested: true },
    text: () =>
      `If ${plainText(email)} has an account and the control plane can mail, a link is on its way; else ask an administrator for one.\n${nextLine(context, "shipfox password set")}`,
  });
}

async function setPassword(context: CommandContext, options: UrlOption): Promise<void> {
  const url = await chooseUrl(context, options);
  const [link, next] = await readTwo(context, options, ["The link", "New password"]);
  const token = TOKEN_IN_LINK.exec(link)?.[0];
  if (token === undefined)
    throw usageError("That is not the link: it ends with ?token=sf_…", "shipfox password reset <email>");
  requireLong(next);
  const session = signedIn(await openClient(url).auth.confirmReset.reply({ token, new_password: next }));
  await saveSession(context.env, url, session.user.email, session);
  await printResult(context, options, {
    document: { url, user: session.user },
    text: () => `✓ The password is set, and you are signed in to ${url} as ${plainText(session.user.email)}.`,
  });
}
