import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { createContext } from "./command-context.ts";
import { buildProgram } from "./program.ts";
import { openTerminal } from "./terminal.ts";

const WORD = /"([^"]*)"|'([^']*)'|(\S+)/g;
/** What a shell takes away before a command sees its words. */
const FOR_THE_SHELL = /^(?:\w+=\S+ )*shipfox | [<>|] .*$/g;

function program(): Command {
  const { stdin, stdout, stderr } = process;
  const terminal = openTerminal({ stdin, stdout, stderr, env: {} });
  return buildProgram(createContext(terminal, {}, "/"));
}

function leavesOf(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
}

function groupsOf(command: Command): Command[] {
  return command.commands.length === 0 ? [] : [command, ...command.commands.flatMap(groupsOf)];
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}

function examplesOf(command: Command): string[] {
  let help = "";
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  return help.split("\n").flatMap((line) => (line.startsWith("  $ ") ? [line.slice("  $ ".length)] : []));
}

function wordsOf(example: string): string[] {
  const bare = example.replace(FOR_THE_SHELL, "");
  return [...bare.matchAll(WORD)].map(([, double, single, word]) => double ?? single ?? word ?? "");
}

/** The command that an example runs, once its words were taken: no action of it is done. */
async function commandOf(example: string): Promise<string> {
  const root = program();
  let called = "";
  for (const leaf of leavesOf(root)) leaf.action(() => void (called = nameOf(leaf)));
  await root.parseAsync(wordsOf(example), { from: "user" });
  return called;
}

describe("the help of every command", () => {
  const leaves = leavesOf(program());

  it.each(leaves.map((leaf) => [nameOf(leaf), leaf] as const))("%s has examples that it takes", async (name, leaf) => {
    const examples = examplesOf(leaf);
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) expect(await commandOf(example)).toBe(name);
  });

  it.each(groupsOf(program()).map((group) => [nameOf(group), group] as const))(
    "%s has examples of commands in it",
    async (name, group) => {
      const examples = examplesOf(group);
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples) expect(await commandOf(example)).toMatch(new RegExp(`^${name} `));
    },
  );
});
