import { Argument, type Command } from "commander";
import { type CommandContext, withExamples } from "../command-context.ts";
import { bashCompletion } from "../completion/bash.ts";
import { fishCompletion } from "../completion/fish.ts";
import { completionTree, type CompletionNode } from "../completion/tree.ts";
import { zshCompletion } from "../completion/zsh.ts";

type Shell = "bash" | "zsh" | "fish";

const SCRIPTS: Readonly<Record<Shell, (nodes: readonly CompletionNode[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

/** Last, when all other commands are there. */
export function registerCompletion(program: Command, context: CommandContext): void {
  withExamples(
    program
      .command("completion")
      .description("print a script that completes commands and options in a shell")
      .addArgument(new Argument("<shell>", "which shell").choices(Object.keys(SCRIPTS)))
      .action(async (shell: Shell) => await context.terminal.write(SCRIPTS[shell](completionTree(program)))),
    "shipfox completion bash > ~/.local/share/bash-completion/completions/shipfox",
    "shipfox completion zsh > ~/.zfunc/_shipfox",
    "shipfox completion fish > ~/.config/fish/completions/shipfox.fish",
  );
}
