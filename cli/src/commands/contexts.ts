import type { Command } from "commander";
import {
  type CommandContext,
  finishCommand,
  type JsonOption,
  nextLine,
  printResult,
  withExamples,
} from "../command-context.ts";
import { type ConfirmOptions, confirmOnTerminal, withYesOnTerminal } from "../confirm.ts";
import { knownContext } from "../contexts.ts";
import { CredentialsStore, configDirectory } from "../credentials.ts";
import { plainText } from "../render/plain-text.ts";
import { renderTable } from "../render/table.ts";
import { endStoredSession } from "./logout.ts";

export function registerContexts(program: Command, context: CommandContext): void {
  const contexts = withExamples(
    program.command("contexts").description("the accounts and servers that you are signed in to"),
    "shipfox contexts list",
    "shipfox contexts use work",
  );
  finishCommand(
    contexts
      .command("list")
      .description("list them; the current one is marked")
      .action((options: JsonOption) => listContexts(context, options)),
    "shipfox contexts list",
  );
  finishCommand(
    contexts
      .command("use")
      .description("make one the current one, in which commands work from now on")
      .argument("<name>", "name of the context")
      .action((name: string, options: JsonOption) => useContext(context, name, options)),
    "shipfox contexts use work",
  );
  finishCommand(
    withYesOnTerminal(
      contexts.command("rm").description("sign out of one and forget it").argument("<name>", "name of the context"),
    ).action((name: string, options: ConfirmOptions) => removeContext(context, name, options)),
    "shipfox contexts rm work",
    "shipfox contexts rm work --yes",
  );
}

function storeOf({ env }: CommandContext): CredentialsStore {
  return new CredentialsStore(configDirectory(env));
}

async function listContexts(context: CommandContext, options: JsonOption): Promise<void> {
  const { current, contexts } = await storeOf(context).read();
  const rows = Object.entries(contexts).map(([name, { url, email }]) => ({
    name,
    url,
    email,
    current: name === current,
  }));
  const { terminal } = context;
  await printResult(context, options, {
    document: { current, contexts: rows },
    text: () =>
      rows.length === 0
        ? `You are not signed in anywhere.\n${nextLine(context, "shipfox login")}`
        : renderTable(
            terminal,
            [
              { head: "", text: (row) => (row.current ? "*" : ""), style: (text) => terminal.colors.green(text) },
              { head: "NAME", text: (row) => row.name },
              { head: "SERVER", text: (row) => row.url, flex: true },
              { head: "ACCOUNT", text: (row) => row.email },
            ],
            rows,
          ),
  });
}

async function useContext(context: CommandContext, name: string, options: JsonOption): Promise<void> {
  const { url, email } = await storeOf(context).update((file) => {
    const stored = knownContext(file, name);
    file.current = name;
    return stored;
  });
  await printResult(context, options, {
    document: { name, url, email },
    text: () => `${context.terminal.colors.green("✓")} Commands work as ${plainText(email)} at ${url} from now on.`,
  });
}

async function removeContext(context: CommandContext, name: string, options: ConfirmOptions): Promise<void> {
  const { email, url } = knownContext(await storeOf(context).read(), name);
  await confirmOnTerminal(context, options, `Sign out ${plainText(email)} of ${url} and forget the context ${name}?`);
  const forgotten = await storeOf(context).update((file) => {
    const stored = knownContext(file, name);
    delete file.contexts[name];
    if (file.current === name) file.current = null;
    return stored;
  });
  await endStoredSession(context, forgotten);
  await printResult(context, options, {
    document: { name, url },
    text: () => `${context.terminal.colors.green("✓")} The context ${name} is gone, and its session at ${url}.`,
  });
}
