import type { Command } from "commander";
import { ClientError } from "@shipfox/client/client-error";
import { endSession } from "@shipfox/client/session";
import { type CommandContext, finishCommand, type JsonOption, printResult } from "../command-context.ts";
import type { StoredContext } from "../contexts.ts";
import { forgetSession, openClient } from "../session.ts";

export function registerLogout(program: Command, context: CommandContext): void {
  const command = program
    .command("logout")
    .description("end the session and forget its credentials")
    .action((options: JsonOption) => logout(context, options));
  finishCommand(
    command,
    "shipfox logout",
    "shipfox logout --context work",
    "SHIPFOX_URL=https://shipfox.example.com shipfox logout",
  );
}

/** The credentials are forgotten first: they are gone even when the control plane does not answer. */
async function logout(context: CommandContext, options: JsonOption): Promise<void> {
  const forgotten = await forgetSession(context.env);
  if (forgotten) await endStoredSession(context, forgotten);
  await printResult(context, options, {
    document: { url: forgotten?.url ?? null, signed_out: forgotten !== null },
    text: () => (forgotten ? `✓ Signed out of ${forgotten.url}.` : "You were not signed in."),
  });
}

/** Also without an answer of the control plane, which is said. A personal access token ends no session: `shipfox tokens revoke` does. */
export async function endStoredSession(context: CommandContext, stored: StoredContext): Promise<void> {
  if (stored.refresh_token === "") return;
  try {
    await endSession(openClient(stored.url), stored.refresh_token);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    context.terminal.note(`! The control plane was not told: ${error.message}`);
  }
}
