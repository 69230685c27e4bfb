import type { FillPoint } from "./contexts.ts";

const OPENER = /\$?\$\{\{/g;
const ESCAPED_OPENER = "$${{";
const CLOSER = "}}";
const READS_SECRET = /(?<![\w.])secrets\s*[.[]/;
const TEXT_LITERAL = /"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*'/g;

/** A text in which expressions stand between literal pieces, each with the moment at which it can be filled. */
export type Template = TemplateSegment[];
export type TemplateSegment =
  | { kind: "literal"; value: string }
  | { kind: "variable"; key: string }
  | { kind: "secret"; store: "local"; key: string }
  | { kind: "expression"; source: string; fill: FillPoint };

export type TemplateExpression = Exclude<TemplateSegment, { kind: "literal" }>;

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
  return pieces.some(
    (piece) => piece.kind === "expression" && READS_SECRET.test(piece.source.replaceAll(TEXT_LITERAL, '""')),
  );
}

/** The template with texts in the places of those segments for which `textOf` has one; neighbouring texts become one. */
export function substitute(template: Template, textOf: (segment: TemplateSegment) => string | undefined): Template {
  const filled: Template = [];
  for (const segment of template) {
    const text = textOf(segment) ?? (segment.kind === "literal" ? segment.value : undefined);
    const last = filled.at(-1);
    if (text === undefined) filled.push(segment);
    else if (last?.kind === "literal") filled[filled.length - 1] = { kind: "literal", value: last.value + text };
    else filled.push({ kind: "literal", value: text });
  }
  return filled;
}

/** `substitute` for each of several templates. */
export function substituteAll(
  templates: Readonly<Record<string, Template>>,
  textOf: (segment: TemplateSegment) => string | undefined,
): Record<string, Template> {
  return Object.fromEntries(Object.entries(templates).map(([key, template]) => [key, substitute(template, textOf)]));
}

/** The literal text of a template. */
export function literalTextOf(template: Template): string {
  return template.map((segment) => (segment.kind === "literal" ? segment.value : "")).join("");
}

/** The expression as an author would write it. */
export function sourceOf(segment: TemplateExpression): string {
  if (segment.kind === "expression") return segment.source;
  return segment.kind === "secret" ? `secrets.${segment.key}` : `vars.${segment.key}`;
}

export type Piece = { kind: "literal"; value: string } | { kind: "expression"; source: string };

/** Literal pieces are unescaped and never empty. An opener without end starts no expression and sets `isOpen`. */
export function splitTemplate(text: string): { pieces: Piece[]; isOpen: boolean } {
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

/** Where the `}}` stands that ends the expression: not inside of its texts and comments, nor of its maps. */
function findCloser(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const character = text[at] as string;
    if (character === '"' || character === "'") {
      at = endOfText(text, at);
    } else if (text.startsWith("//", at)) {
      const line = text.indexOf("\n", at);
      if (line === -1) return -1;
      at = line;
    } else if (character === "{") depth += 1;
    else if (character === "}" && depth > 0) depth -= 1;
    else if (text.startsWith(CLOSER, at)) return at;
  }
  return -1;
}

/** Index of the last character of the text literal that starts at `start`; the last of all when it has no end. */
function endOfText(text: string, start: number): number {
  const quote = text[start] as string;
  const closer = text.startsWith(quote.repeat(3), start) ? quote.repeat(3) : quote;
  for (let at = start + closer.length; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text.startsWith(closer, at)) return at + closer.length - 1;
  }
  return text.length;
}
