import type { Command } from "commander";
import { spawn } from "node:child_process";
import { withProject } from "../choose-scope.ts";
import { chooseRun, type Scope } from "../choose.ts";
import { type CommandContext, finishCommand, type JsonOption, nextLine, printResult } from "../command-context.ts";
import { openClient, openSession } from "../session.ts";
import { chooseUrl } from "./login.ts";

type OpenOptions = JsonOption & Scope & { print?: true };

export function registerOpen(program: Command, context: CommandContext): void {
  finishCommand(
    withProject(
      program
        .command("open")
        .description("open the description of the API in a browser, or print the address of a run")
        .argument("[run]", "id, number, or workflow and number such as ci#7"),
    )
      .option("--print", "print the address only")
      .action((run: string | undefined, options: OpenOptions) =>
        run === undefined ? openDescription(context, options) : printRun(context, run, options),
      ),
    "shipfox open",
    "shipfox open --print",
    "shipfox open ci#7",
  );
}

async function openDescription(context: CommandContext, options: OpenOptions): Promise<void> {
  const base = await chooseUrl(context, {});
  const { docs } = await openClient(base).server.about();
  const url = `${base}${new URL(docs, base).pathname}`;
  await printResult(context, options, { document: { url }, text: () => url });
  if (!options.print && !options.json && context.terminal.interactive) startBrowser(context, url);
}

/** A browser has no credentials for it: the API is all that knows of runs. */
async function printRun(context: CommandContext, reference: string, options: OpenOptions): Promise<void> {
  const { api, url: base } = await openSession(context.env);
  const path = `/workflows/runs/${await chooseRun(api, reference, options)}`;
  await printResult(context, options, {
    document: { url: `${base}${path}` },
    text: () => `${base}${path}\n${nextLine(context, `shipfox api GET ${path}`)}`,
  });
}

/** Where nothing opens addresses the printed one must do. */
function startBrowser({ terminal, env }: CommandContext, url: string): void {
  const program = process.platform === "darwin" ? "open" : "xdg-open";
  spawn(program, [url], { env, stdio: "ignore", detached: true })
    .once("error", () => terminal.note(terminal.errorColors.dim(`There is no ${program} here to open it with.`)))
    .unref();
}
