import { isKey, MAX_KEY_CHARS } from "@shipfox/shared/api/scoped-values";
import type { DiagnosticCode } from "./diagnostics.ts";
import { shorten } from "./shorten.ts";

const OPENER = /\$?\$\{\{/g;
const ESCAPED_OPENER = "$${{";
const CLOSER = "}}";
/** Names at the start of an expression that the language knows; `secrets` and `vars` are those this version reads. */
const ROOTS: ReadonlySet<string> = new Set(
  "event execution executions inputs job jobs needs run secrets step steps trigger vars workflow".split(" "),
);
const ROOT = /^(?!(?:true|false|null)\b)([A-Za-z_]\w*)\s*(?:[.[]|$)/;
/** One name followed by names or brackets, and nothing else: no operator, no call. */
const REFERENCE = /^[A-Za-z_]\w*(?:\.[\w-]+|\[[^\]]*\])*$/;
/** More than any name of a variable or secret needs; longer ones are expressions of another kind. */
const MAX_REFERENCE_CHARS = 1_024;
const TEXT_LITERAL = /"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*'/g;
const READS_SECRET = /(?<![\w.])secrets\s*[.[]/;

/** A text in which expressions stand between literal pieces. The only stored form of an expression: what it names. */
export type Template = TemplateSegment[];
export type TemplateSegment =
  | { kind: "literal"; value: string }
  | { kind: "variable"; key: string }
  | { kind: "secret"; store: "local"; key: string };

export interface ExpressionFault {
  code: DiagnosticCode;
  message: string;
}

/** True when `text` opens an expression; `$${{` is the escaped, literal form. */
export function hasExpression(text: string): boolean {
  return text.match(OPENER)?.some((opener) => opener !== ESCAPED_OPENER) ?? false;
}

/** The literal text that an author means: `$${{` becomes `${{`. */
export function unescapeLiteral(text: string): string {
  return text.replaceAll(ESCAPED_OPENER, () => "${{");
}

/** True when some expression of the text reads a secret, in whatever way. */
export function readsSecret(text: string): boolean {
  const { pieces } = splitTemplate(text);
  return pieces.some((piece) => piece.kind === "expression" && READS_SECRET.test(withoutTextLiterals(piece.source)));
}

/** Reads a text that may name variables and secrets; a fault for everything else between `${{` and `}}`. */
export function parseTemplate(text: string): { segments: Template; faults: ExpressionFault[] } {
  const { pieces, isOpen } = splitTemplate(text);
  const faults: ExpressionFault[] = [];
  if (isOpen)
    faults.push(unreadable("an expression `${{` has no end; close it with `}}`, or write `$${{` for a literal `${{`"));
  const segments: Template = [];
  for (const piece of pieces) {
    if (piece.kind === "literal") segments.push(piece);
    else {
      const read = readExpression(piece.source);
      if ("code" in read) faults.push(read);
      else segments.push(read);
    }
  }
  return { segments, faults };
}

/** The expression as an author would write it. */
export function sourceOf(segment: Exclude<TemplateSegment, { kind: "literal" }>): string {
  return segment.kind === "secret" ? `secrets.${segment.key}` : `vars.${segment.key}`;
}

type Piece = { kind: "literal"; value: string } | { kind: "expression"; source: string };

/** Literal pieces are unescaped and never empty. An opener without end starts no expression and sets `isOpen`. */
function splitTemplate(text: string): { pieces: Piece[]; isOpen: boolean } {
  const pieces: Piece[] = [];
  let position = 0;
  const takeLiteral = (end: number) => {
    if (end > position) pieces.push({ kind: "literal", value: unescapeLiteral(text.slice(position, end)) });
  };
  for (const match of text.matchAll(OPENER)) {
    if (match[0] === ESCAPED_OPENER || match.index < position) continue;
    const start = match.index + match[0].length;
    const end = findCloser(text, start);
    if (end === -1) return { pieces, isOpen: true };
    takeLiteral(match.index);
    pieces.push({ kind: "expression", source: text.slice(start, end).trim() });
    position = end + CLOSER.length;
  }
  takeLiteral(text.length);
  return { pieces, isOpen: false };
}

/** Where the `}}` stands that ends the expression: not inside of its texts, nor of its maps. */
function findCloser(text: string, start: number): number {
  let quote = "";
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const character = text[at] as string;
    if (quote !== "") {
      if (character === "\\") at += 1;
      else if (character === quote) quote = "";
    } else if (character === '"' || character === "'") quote = character;
    else if (character === "{") depth += 1;
    else if (character === "}" && depth > 0) depth -= 1;
    else if (text.startsWith(CLOSER, at)) return at;
  }
  return -1;
}

function readExpression(source: string): Exclude<TemplateSegment, { kind: "literal" }> | ExpressionFault {
  if (source === "") return unreadable("an expression `${{ }}` is empty; write `$${{` for a literal `${{`");
  const shown = `\`${shorten(source)}\``;
  const path = source.length <= MAX_REFERENCE_CHARS ? source.replaceAll(/\s*\.\s*/g, ".") : source;
  const root = ROOT.exec(path)?.[1];
  const isReference = path.length <= MAX_REFERENCE_CHARS && REFERENCE.test(path);
  if (root === "vars" && isReference) return readVariable(path, shown);
  if (root === "secrets" && isReference) return readSecretReference(path, shown);
  if (READS_SECRET.test(withoutTextLiterals(source))) {
    const message = `${shown} makes something of a secret; each secret stands alone in its own \`\${{ secrets.KEY }}\`, with any text around it`;
    return { code: "runner-context-not-bare", message };
  }
  if (root !== undefined && !ROOTS.has(root)) {
    const message = `\`${shorten(root)}\` is not a name that an expression can start with; this version reads \`vars.KEY\` and \`secrets.KEY\``;
    return { code: "unknown-interpolation-context", message };
  }
  const message = `${shown} is part of the language, but this version does not support it yet: it reads \`vars.KEY\` and \`secrets.KEY\` in \`run\` and \`env\`; write \`$\${{\` for a literal \`\${{\``;
  return { code: "unsupported-expression", message };
}

function readVariable(path: string, shown: string): (TemplateSegment & { kind: "variable" }) | ExpressionFault {
  const key = path.slice("vars.".length);
  return path.startsWith("vars.") && isKey(key) ? { kind: "variable", key } : notAKey(shown, "vars.KEY");
}

function readSecretReference(path: string, shown: string): (TemplateSegment & { kind: "secret" }) | ExpressionFault {
  const names = path.split(".").slice(1);
  const key = names.at(-1) ?? "";
  const [store = "local"] = names.length === 2 ? names : [];
  if (names.length === 0 || names.length > 2 || path.includes("[") || !isKey(key)) return notAKey(shown, "secrets.KEY");
  if (store === "local") return { kind: "secret", store, key };
  const message = `${shown} names the secret store \`${shorten(store)}\`; the only one is \`local\`, which need not be named: \`secrets.${key}\``;
  return { code: "unknown-secret-store", message };
}

function notAKey(shown: string, expected: string): ExpressionFault {
  const rule = `upper-case letters, digits and \`_\`, at most ${MAX_KEY_CHARS} characters`;
  return { code: "computed-context-key", message: `${shown} must be \`${expected}\` with a literal key: ${rule}` };
}

function unreadable(message: string): ExpressionFault {
  return { code: "invalid-interpolation-template", message };
}

function withoutTextLiterals(source: string): string {
  return source.replaceAll(TEXT_LITERAL, '""');
}
