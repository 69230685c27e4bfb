import type { Template, TemplateExpression } from "../expressions/template.ts";

export interface HoistedCommand {
  /** The command, with a quoted reference to a variable in the place of each expression. */
  script: string;
  /** What each of these variables holds. */
  variables: Record<string, Template>;
  /** Expressions in places where no quoting keeps a value from becoming code. */
  unsafe: TemplateExpression[];
}

/** Where the shell is in its text. Values are safe in plain words and in both kinds of quotes only. */
type Position =
  | "code"
  | "double"
  | "single"
  | "comment"
  | "substitution"
  | "arithmetic"
  /** `$[…]`, the older form of arithmetic. */
  | "bracket"
  | "backtick"
  | "parameter"
  /** `$'…'` and `$"…"`, which the shell rewrites before it takes them. */
  | "ansi"
  | "translated";

/**
 * Takes the expressions out of a command, so that a value is always one word and never code. A variable is called `__sf_0`,
 * `__sf_1`, …; names in `taken` or in the text itself are passed over. Source of names and rules: the published language.
 */
export function hoistExpressions(template: Template, taken: ReadonlySet<string>): HoistedCommand {
  const text = template.map((segment) => (segment.kind === "literal" ? segment.value : "")).join("\n");
  const used = usedNumbers([...taken, text]);
  const variables: Record<string, Template> = {};
  const unsafe: TemplateExpression[] = [];
  const shell = new ShellText();
  let script = "";
  let number = 0;
  for (const segment of template) {
    if (segment.kind === "literal") {
      shell.read(segment.value);
      script += segment.value;
      continue;
    }
    const quoting = shell.quoting();
    if (quoting === null) unsafe.push(segment);
    while (used.has(number)) number += 1;
    const name = `__sf_${number}`;
    number += 1;
    variables[name] = [segment];
    script += reference(name, quoting);
    shell.readValue();
  }
  return { script, variables, unsafe };
}

function usedNumbers(texts: readonly string[]): Set<number> {
  return new Set(texts.flatMap((text) => [...text.matchAll(/__sf_(\d+)/g)].map((match) => Number(match[1]))));
}

function reference(name: string, quoting: "bare" | "double" | "single" | null): string {
  const expansion = `\${${name}}`;
  if (quoting === "double") return expansion;
  return quoting === "single" ? `'"${expansion}"'` : `"${expansion}"`;
}

/** Follows a shell text far enough to know how a value at its end would be taken. Errs towards "not safe". */
class ShellText {
  /** The innermost last; the outermost is always code. */
  readonly #stack: Position[] = ["code"];
  /** Open parentheses inside each substitution, outermost first. */
  readonly #depths: number[] = [];
  #previous = "";
  #isEscaped = false;
  /** After these nobody knows where what is closed: a here-document, and `case` in a substitution, whose `)` closes nothing. */
  #isLost = false;
  /** The letters before. */
  #word = "";

  /** How to quote a value that stands here; null where quoting does not help. */
  quoting(): "bare" | "double" | "single" | null {
    if (this.#isEscaped || this.#isLost || this.#stack.length > 2) return null;
    const position = this.#position;
    if (position === "single") return "single";
    // `$"` and `$$` mean something else than the text before the value.
    if (this.#previous === "$") return null;
    if (position === "double") return "double";
    return position === "code" ? "bare" : null;
  }

  /** A value was put here: what follows continues its word. */
  readValue(): void {
    this.#previous = "x";
    this.#isEscaped = false;
  }

  read(text: string): void {
    for (let at = 0; at < text.length; at += 1) {
      const character = text[at] as string;
      const wasEscaped = this.#isEscaped;
      this.#isEscaped = false;
      if (!wasEscaped) this.#take(character, text.slice(at, at + 3));
      this.#previous = wasEscaped ? "x" : character;
    }
  }

  get #position(): Position {
    return this.#stack.at(-1) ?? "code";
  }

  #take(character: string, ahead: string): void {
    switch (this.#position) {
      case "single":
        if (character === "'") this.#stack.pop();
        return;
      case "comment":
        if (character === "\n") this.#stack.pop();
        return;
      case "ansi":
        if (character === "\\") this.#isEscaped = true;
        else if (character === "'") this.#stack.pop();
        return;
      case "double":
      case "translated":
        if (character === '"') this.#stack.pop();
        else this.#takeExpansion(character, ahead);
        return;
      case "backtick":
        if (character === "\\") this.#isEscaped = true;
        else if (character === "`") this.#stack.pop();
        return;
      case "bracket":
        if (character === "]") this.#stack.pop();
        else this.#takeExpansion(character, ahead);
        return;
      case "parameter":
        if (character === "}") this.#stack.pop();
        else if (character === "'") this.#stack.push("single");
        else if (character === '"') this.#stack.push("double");
        else this.#takeExpansion(character, ahead);
        return;
      case "arithmetic":
      case "substitution":
        if (/\w/.test(character)) this.#word += character;
        else {
          if (this.#word === "case") this.#isLost = true;
          this.#word = "";
        }
        if (this.#takeParenthesis(character)) return;
        this.#takeCode(character, ahead);
        return;
      case "code":
        this.#takeCode(character, ahead);
    }
  }

  /** True when the character opened or closed a parenthesis of a substitution. */
  #takeParenthesis(character: string): boolean {
    const innermost = this.#depths.length - 1;
    if (character === "(") this.#depths[innermost] = (this.#depths[innermost] ?? 0) + 1;
    else if (character === ")") {
      const depth = (this.#depths[innermost] ?? 1) - 1;
      this.#depths[innermost] = depth;
      if (depth > 0) return true;
      this.#depths.pop();
      this.#stack.pop();
    } else return false;
    return true;
  }

  #takeCode(character: string, ahead: string): void {
    if (character === "'") this.#stack.push(this.#previous === "$" ? "ansi" : "single");
    else if (character === '"') this.#stack.push(this.#previous === "$" ? "translated" : "double");
    else if (character === "#" && /^$|[\s;&|()]/.test(this.#previous)) this.#stack.push("comment");
    else if (ahead.startsWith("<<") && ahead !== "<<<" && this.#previous !== "<" && this.#position !== "arithmetic")
      this.#isLost = true;
    else this.#takeExpansion(character, ahead);
  }

  #takeExpansion(character: string, ahead: string): void {
    if (character === "\\") this.#isEscaped = true;
    else if (character === "`") this.#stack.push("backtick");
    else if (character === "$" && ahead.startsWith("${")) this.#stack.push("parameter");
    else if (character === "$" && ahead.startsWith("$[")) this.#stack.push("bracket");
    else if (character === "$" && ahead.startsWith("$(")) {
      this.#stack.push(ahead === "$((" ? "arithmetic" : "substitution");
      this.#depths.push(0);
    }
  }
}
