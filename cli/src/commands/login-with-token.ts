import { usageError } from "../cli-error.ts";
import { type CommandContext, type JsonOption, printResult } from "../command-context.ts";
import { readSecretFromStdin } from "../prompts.ts";
import { plainText } from "../render/plain-text.ts";
import { isPersonalToken, openClient, saveSession } from "../session.ts";

/** For programs: nothing is renewed, so it lasts as long as the personal access token on stdin does. */
export async function loginWithToken(
  context: CommandContext,
  options: JsonOption,
  { url, version }: { url: string; version: string },
): Promise<void> {
  const token = (await readSecretFromStdin(context.terminal)).trim();
  if (!isPersonalToken(token)) {
    throw usageError("Stdin has no personal access token (sf_pat_…).", "shipfox login --token-stdin < token.txt");
  }
  const api = openClient(url, token);
  const [{ user }, { name, expires_at }] = [await api.auth.me(), await api.accessTokens.current()];
  const session = { accessToken: token, refreshToken: null, user, hasWorkspace: true };
  const contextName = await saveSession(context.env, url, user.email, session);
  const until = expires_at === null ? "" : `, until ${expires_at}`;
  await printResult(context, options, {
    document: { context: contextName, url, user, version, token: { name, expires_at } },
    text: () => {
      const who = `${plainText(user.email)} with the token ${plainText(name)}`;
      return `${context.terminal.colors.green("✓")} Signed in to ${url} as ${who}${until}.`;
    },
  });
}
