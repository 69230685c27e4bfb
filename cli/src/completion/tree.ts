import type { Command, Option } from "commander";

/** A command as completion knows it. */
export interface CompletionNode {
  /** The words that lead to it: `shipfox runs list`. */
  readonly path: string;
  /** What may come next: its commands, or the only values of its arguments. */
  readonly words: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly CompletionOption[];
}

export interface CompletionOption {
  /** `-p`, `--project`. */
  readonly flags: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  /** The only values there are; empty when any goes. */
  readonly choices: readonly string[];
}

/** All commands of a program, the program itself first. */
export function completionTree(program: Command): CompletionNode[] {
  return nodesOf(program, [], []);
}

function nodesOf(
  command: Command,
  before: readonly string[],
  inherited: readonly CompletionOption[],
): CompletionNode[] {
  const words = [...before, command.name()];
  const help = command.createHelp();
  const own = help.visibleOptions(command).map(optionOf);
  const options = [...own, ...inherited.filter(({ flags }) => !own.some((option) => overlaps(option.flags, flags)))];
  const children = help.visibleCommands(command).filter((child) => child.name() !== "help");
  const node: CompletionNode = {
    path: words.join(" "),
    words: [
      ...children.map((child) => ({ name: child.name(), description: child.description() })),
      ...command.registeredArguments.flatMap(({ argChoices = [], description }) =>
        argChoices.map((name) => ({ name, description })),
      ),
    ],
    options,
  };
  return [node, ...children.flatMap((child) => nodesOf(child, words, options))];
}

function optionOf(option: Option): CompletionOption {
  return {
    flags: [option.short, option.long].filter((flag) => flag !== undefined && flag !== null),
    description: option.description,
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
  };
}

function overlaps(flags: readonly string[], others: readonly string[]): boolean {
  return flags.some((flag) => others.includes(flag));
}
