import type { Template, TemplateExpression } from "../expressions/template.ts";

/** Commands that read their arguments as code, or as a program of their own. */
const READERS = /^(?:eval|trap|source|\.|let|awk|gawk|mawk|jq|sed)$/;
const SHELLS = /^(?:ba|da|k|z)?sh$/;
const PREFIXES = /^(?:sudo|env|exec|command|builtin|time|nohup|nice|if|then|else|elif|do|while|until|!|\{|\w+=\S*)$/;
const COMPARES_NUMBERS = /^-(?:eq|ne|lt|le|gt|ge)$/;
const COMPARES_NUMBERS_NEXT = /^["']?\s+-(?:eq|ne|lt|le|gt|ge)\s/;

/** More than a command line that a person writes; a longer one costs a warning, no more. */
const MAX_COMMAND_CHARACTERS = 1_024;

/** Expressions whose value is one word of a command that reads its words as code. */
export function readAsCode(template: Template): TemplateExpression[] {
  const found: TemplateExpression[] = [];
  let before = "";
  for (const [index, segment] of template.entries()) {
    if (segment.kind === "literal") {
      before += segment.value;
      continue;
    }
    const next = template[index + 1];
    if (isCode(withoutQuotes(before), next?.kind === "literal" ? next.value : "")) found.push(segment);
    before += "x";
  }
  return found;
}

/** The end of the text, with what is quoted made harmless. */
function withoutQuotes(text: string): string {
  return text
    .slice(-MAX_COMMAND_CHARACTERS)
    .replaceAll(/\\\n/g, " ")
    .replaceAll(/'[^']*'|"(?:[^"\\]|\\[\s\S])*"/g, (quoted) => "q".repeat(quoted.length));
}

function isCode(before: string, after: string): boolean {
  const words = lastCommand(before);
  return readsCode(words) || isArithmetic(before, words, after);
}

/** The words of the simple command that is not over at the end of the text, those in front of its name left out. */
function lastCommand(text: string): string[] {
  const command = text.split(/[\n;|&()]/).at(-1) ?? "";
  const words = command.trim().split(/\s+/);
  const at = words.findIndex((word) => !PREFIXES.test(word));
  return at === -1 ? [] : words.slice(at);
}

function readsCode([name = "", ...rest]: readonly string[]): boolean {
  if (READERS.test(name)) return true;
  if (name === "declare" || name === "typeset") return rest.some((word) => /^-\w*i/.test(word));
  const shell = name === "xargs" ? rest.findIndex((word) => SHELLS.test(word)) : SHELLS.test(name) ? -1 : null;
  if (shell === null || (name === "xargs" && shell === -1)) return false;
  return rest.slice(shell + 1).some((word) => /^-\w*c$/.test(word));
}

/** `((…))`, a comparison of numbers in `[[`, and the index of a list: bash runs a `$(…)` that it finds in their values. */
function isArithmetic(before: string, words: readonly string[], after: string): boolean {
  if (before.lastIndexOf("((") > before.lastIndexOf("))")) return true;
  const [name = ""] = words;
  if (/^\w+\[[^\]]*$/.test(name)) return true;
  return name === "[[" && (COMPARES_NUMBERS_NEXT.test(after) || words.some((word) => COMPARES_NUMBERS.test(word)));
}
