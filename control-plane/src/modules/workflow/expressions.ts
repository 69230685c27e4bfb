const OPENER = /\$?\$\{\{/g;
const ESCAPED_OPENER = "$${{";

/** True when `text` opens an expression; `$${{` is the escaped, literal form. */
export function hasExpression(text: string): boolean {
  return text.match(OPENER)?.some((opener) => opener !== ESCAPED_OPENER) ?? false;
}

/** The literal text that an author means: `$${{` becomes `${{`. */
export function unescapeLiteral(text: string): string {
  return text.replaceAll(ESCAPED_OPENER, () => "${{");
}
