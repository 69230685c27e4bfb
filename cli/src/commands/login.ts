import type { Client } from "@shipfox/client";
import { ClientError } from "@shipfox/client/client-error";
import { type EmailChallenge, type SignedIn, signedIn, signUp } from "@shipfox/client/session";
import { MIN_PASSWORD_CHARS } from "@shipfox/shared/api/accounts";
import type { Home } from "@shipfox/shared/api/home";
import type { Command } from "commander";
import { ApiFailure } from "../api-failure.ts";
import { quoteWord } from "../choose.ts";
import { usageError } from "../cli-error.ts";
import { type CommandContext, finishCommand, type JsonOption, nextLine, printResult } from "../command-context.ts";
import { CredentialsStore, configDirectory } from "../credentials.ts";
import { askSecret, askText, askYes, readSecretFromStdin } from "../prompts.ts";
import { plainText } from "../render/plain-text.ts";
import { tokenOfInvitation } from "../invitation-link.ts";
import { checkContextName, contextNamed, nameOfHost } from "../contexts.ts";
import { DEFAULT_URL, normalizeUrl } from "../server-url.ts";
import { openClient, saveSession } from "../session.ts";
import { loginWithToken } from "./login-with-token.ts";

interface LoginOptions extends JsonOption {
  url?: string;
  email?: string;
  passwordStdin?: boolean;
  tokenStdin?: boolean;
  signup?: boolean;
  name?: string;
}

export function registerLogin(program: Command, context: CommandContext): void {
  const command = program
    .command("login")
    .description("sign in to a control plane, or create the first account of a new one")
    .option("--url <url>", `address of the control plane (default: SHIPFOX_URL, the last one, or ${DEFAULT_URL})`)
    .option("--email <email>", "e-mail address of the account")
    .option("--password-stdin", "read the password from stdin")
    .option("--token-stdin", "sign in with a personal access token from stdin, instead of a password")
    .option("--signup", "create the account first")
    .option("--name <name>", "your name, for --signup")
    .action((options: LoginOptions) => login(context, options));
  finishCommand(
    command,
    "shipfox login",
    "shipfox login --url https://shipfox.example.com --email ada@example.com",
    'shipfox login --signup --name "Ada Lovelace" --email ada@example.com',
    "shipfox login --email ci@example.com --password-stdin < password.txt",
    "shipfox login --url https://shipfox.example.com --token-stdin < token.txt",
    "shipfox login --context work --url https://shipfox.example.com",
  );
}

async function login(context: CommandContext, options: LoginOptions): Promise<void> {
  const { terminal, env } = context;
  if (env.SHIPFOX_CONTEXT) checkContextName(env.SHIPFOX_CONTEXT);
  const url = await chooseUrl(context, options);
  const api = openClient(url);
  const about = await findControlPlane(api, url);
  warnAboutPlainHttp(context, url);
  if (options.tokenStdin) return await loginWithToken(context, options, { url, version: about.version });
  const signup = options.signup ?? (await offerSignup(context, options, about, url));
  const email =
    options.email ??
    (await ask(context, "E-mail address", () => askText(terminal, "E-mail address"), "--email <email>"));
  const name = signup
    ? (options.name ?? (await ask(context, "Your name", () => askText(terminal, "Your name"), '--name "Your Name"')))
    : "";
  const password = await readPassword(context, options, signup);
  const session = signup
    ? await proveAddress(context, api, email, await createAccount(context, api, { email, password, name }))
    : await signIn(context, api, { email, password }).catch((error: unknown) => {
        throw isWrongPassword(error) ? new ApiFailure(error, afterWrongPassword(url)) : error;
      });
  const contextName = await saveSession(env, url, session.user.email, session);
  await printResult(context, options, {
    document: { context: contextName, url, user: session.user, version: about.version },
    text: () => describe(context, contextName, url, session),
  });
}

export async function chooseUrl(context: CommandContext, options: { url?: string }): Promise<string> {
  const named = options.url ?? context.env.SHIPFOX_URL;
  if (named) return normalizeUrl(named);
  const stored = await new CredentialsStore(configDirectory(context.env)).read();
  const name = context.env.SHIPFOX_CONTEXT ?? stored.current;
  return (name === null ? undefined : contextNamed(stored, name)?.url) ?? DEFAULT_URL;
}

function isWrongPassword(error: unknown): error is ClientError {
  return error instanceof ClientError && error.code === "invalid-credentials";
}

/** The address that was asked is kept in no context yet, so that a plain `shipfox login` would ask another one. */
function afterWrongPassword(url: string): string[] {
  return [`shipfox login --url ${url}`, `on a new instance: shipfox login --url ${url} --signup`];
}

/** An address copied from a browser has the path of a page, where there is no control plane. */
async function findControlPlane(api: Client, url: string): Promise<Home> {
  try {
    return await api.server.about();
  } catch (error) {
    const { origin, pathname } = new URL(url);
    const isAnswered = error instanceof ClientError && error.code !== "connection-failed";
    if (pathname === "/" || !isAnswered) throw error;
    throw usageError(
      `There is no control plane at the path ${pathname} of ${origin}; give the address without it.`,
      `shipfox login --url ${origin}`,
    );
  }
}

async function offerSignup(context: CommandContext, options: LoginOptions, about: Home, url: string): Promise<boolean> {
  if (!about.needs_setup) return false;
  if (context.terminal.interactive && !options.passwordStdin) {
    return await askYes(context.terminal, `${url} has no account yet. Create the first one?`);
  }
  const email = options.email === undefined ? "" : ` --email ${quoteWord(options.email)}`;
  throw usageError(
    `${url} has no account yet.`,
    `shipfox login --url ${url} --signup --name "Your Name"${email}${options.passwordStdin ? " --password-stdin" : ""}`,
  );
}

/** The setup token comes from SHIPFOX_SETUP_TOKEN, an invitation from SHIPFOX_INVITATION; either is asked for when it is wanted. */
async function createAccount(
  context: CommandContext,
  api: Client,
  account: { email: string; password: string; name: string },
): Promise<SignedIn | EmailChallenge> {
  const token = context.env.SHIPFOX_SETUP_TOKEN;
  if (token) return await signUp(api, { ...account, setup_token: token });
  const invitation = context.env.SHIPFOX_INVITATION;
  if (invitation) return await signUp(api, { ...account, invitation_token: tokenOfInvitation(invitation) });
  try {
    return await signUp(api, account);
  } catch (error) {
    if (!(error instanceof ClientError) || !context.terminal.interactive) throw error;
    if (error.code === "signup-not-allowed") {
      const link = await askSecret(context.terminal, "Sign-up is closed here. The link of your invitation");
      return await signUp(api, { ...account, invitation_token: tokenOfInvitation(link) });
    }
    if (error.code !== "setup-token-required") throw error;
    const setup_token = await askSecret(context.terminal, "Setup token (in the control plane's first log lines)");
    return await signUp(api, { ...account, setup_token });
  }
}

/** Whoever left before he typed his code is mailed another one: the sign-up goes on where it was, and his name stays. */
async function signIn(
  context: CommandContext,
  api: Client,
  account: { email: string; password: string },
): Promise<SignedIn> {
  try {
    return signedIn(await api.auth.logIn.reply(account));
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== "email-not-verified" || !context.terminal.interactive)
      throw error;
    return await proveAddress(context, api, account.email, await signUp(api, { ...account, name: account.email }));
  }
}

/** Where mail is configured a new account types the code that it got; a wrong one again, as often as the control plane lets it. */
async function proveAddress(
  context: CommandContext,
  api: Client,
  email: string,
  made: SignedIn | EmailChallenge,
): Promise<SignedIn> {
  if (!("challengeId" in made)) return made;
  context.terminal.note(`A code was mailed to ${plainText(email)}.`);
  for (;;) {
    const code = await ask(
      context,
      "The mailed code",
      () => askText(context.terminal, "Code"),
      "--signup (on a terminal)",
    );
    try {
      return signedIn(await api.auth.verifyEmail.reply({ email, challenge_id: made.challengeId, code }));
    } catch (error) {
      if (!(error instanceof ClientError) || error.status !== 400) throw error;
      context.terminal.note(context.terminal.errorColors.yellow(plainText(error.message)));
    }
  }
}

async function readPassword(context: CommandContext, options: LoginOptions, signup: boolean): Promise<string> {
  const question = signup ? `Choose a password (at least ${MIN_PASSWORD_CHARS} characters)` : "Password";
  const password = options.passwordStdin
    ? await readSecretFromStdin(context.terminal)
    : await ask(context, "the password", () => askSecret(context.terminal, question), "--password-stdin < file");
  if (password === "")
    throw usageError("The password on stdin is empty.", "shipfox login --password-stdin < password.txt");
  if (signup && password.length < MIN_PASSWORD_CHARS) {
    throw usageError(
      `A password needs at least ${MIN_PASSWORD_CHARS} characters.`,
      "shipfox login --signup --password-stdin < password.txt",
    );
  }
  return password;
}

async function ask(
  context: CommandContext,
  what: string,
  prompt: () => Promise<string>,
  flag: string,
): Promise<string> {
  if (context.terminal.interactive) return await prompt();
  throw usageError(`${what} is missing and there is no terminal to ask on.`, `shipfox login ${flag}`);
}

function warnAboutPlainHttp(context: CommandContext, url: string): void {
  const { protocol, hostname } = new URL(url);
  if (protocol === "https:" || hostname === "localhost" || hostname.startsWith("127.") || hostname === "[::1]") return;
  context.terminal.note(
    `${context.terminal.errorColors.yellow("!")} ${url} is not encrypted; anyone on the way can read the password.`,
  );
}

function describe(context: CommandContext, name: string, url: string, session: SignedIn): string {
  const { colors } = context.terminal;
  const next = session.hasWorkspace ? "shipfox projects list" : "shipfox workspaces create my-team";
  return `${colors.green("✓")} Signed in to ${url} as ${plainText(session.user.email)}${inContext(name, url)}.\n${nextLine(context, next)}`;
}

/** Said only where the name is more than the address. */
export function inContext(name: string, url: string): string {
  return name === nameOfHost(url) ? "" : ` (context ${name})`;
}
