import type { Command } from "commander";
import { type CommandContext, finishCommand, type JsonOption, printResult } from "../command-context.ts";
import { plainText } from "../render/plain-text.ts";
import { openSession } from "../session.ts";
import { inContext } from "./login.ts";

export function registerWhoami(program: Command, context: CommandContext): void {
  const command = program
    .command("whoami")
    .description("show who is signed in, and where")
    .action((options: JsonOption) => whoami(context, options));
  finishCommand(command, "shipfox whoami", "shipfox whoami --json");
}

async function whoami(context: CommandContext, options: JsonOption): Promise<void> {
  const { api, url, context: name } = await openSession(context.env);
  const { user, admin_role } = await api.auth.me();
  const role = admin_role === null ? "" : ` (${admin_role})`;
  const person = user.name === null ? "" : `${plainText(user.name)}, `;
  await printResult(context, options, {
    document: { context: name, url, user, admin_role },
    text: () => `${person}${plainText(user.email)}${role} at ${url}${inContext(name, url)}`,
  });
}
