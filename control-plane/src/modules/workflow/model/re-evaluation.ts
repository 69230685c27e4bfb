import { sourceOf, type Template } from "../expressions/template.ts";

/** Commands that read their arguments as code, or as a program of their own. */
const READERS = /^(?:eval|source|\.|let|awk|gawk|mawk|jq|sed)$/;
const SHELLS = /^(?:ba|da|k|z)?sh$/;
const PREFIXES = /^(?:sudo|env|exec|command|builtin|time|nohup|nice|if|then|else|elif|do|while|until|!|\{|\w+=\S*)$/;

/** The first expression whose value is a word of a command that reads its words as code; undefined when there is none. */
export function findReadAsCode(template: Template): string | undefined {
  let before = "";
  for (const segment of template) {
    if (segment.kind === "literal") {
      before += segment.value;
      continue;
    }
    if (readsCode(lastCommand(before))) return sourceOf(segment);
    before += "x";
  }
  return undefined;
}

/** More than a command line that a person writes; a longer one costs a warning, no more. */
const MAX_COMMAND_CHARACTERS = 2_048;

/** The words of the simple command that is not over at the end of `text`. */
function lastCommand(text: string): string[] {
  const tail = text.slice(-MAX_COMMAND_CHARACTERS);
  const plain = tail
    .replaceAll(/\\\n/g, " ")
    .replaceAll(/'[^']*'|"(?:[^"\\]|\\[\s\S])*"/g, (quoted) => "q".repeat(quoted.length));
  const command = plain.split(/[\n;|&()]/).at(-1) ?? "";
  return command.trim().split(/\s+/);
}

function readsCode(words: readonly string[]): boolean {
  const at = words.findIndex((word) => !PREFIXES.test(word));
  const [name = "", ...rest] = at === -1 ? [] : words.slice(at);
  if (READERS.test(name)) return true;
  if (name === "declare" || name === "typeset") return rest.some((word) => /^-\w*i/.test(word));
  const shell = name === "xargs" ? rest.findIndex((word) => SHELLS.test(word)) : SHELLS.test(name) ? -1 : null;
  if (shell === null || (name === "xargs" && shell === -1)) return false;
  return rest.slice(shell + 1).some((word) => /^-\w*c$/.test(word));
}
