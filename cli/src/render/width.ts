const SEGMENTER = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const ONE_COLUMN_EACH = /^[\u0020-\u007e\u00a0-\u02ff]*$/;
/** Sources: Unicode UAX 11 (scripts and forms that are wide in every terminal) and emoji, which are two columns wide. */
const WIDE =
  /^[\p{Emoji_Presentation}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;
const NO_COLUMN = /^[\p{Mark}\p{Default_Ignorable_Code_Point}]+$/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character opens a colour sequence
const COLOR_SEQUENCE = /(\u001b\[[0-9;:]*m)/;
const RESET = "\u001b[0m";
const CUT_MARK = "…";

/** How many columns of a terminal a text takes that has no control characters. */
export function displayWidth(text: string): number {
  if (ONE_COLUMN_EACH.test(text)) return text.length;
  let width = 0;
  for (const { segment } of SEGMENTER.segment(text)) width += graphemeWidth(segment);
  return width;
}

/** The text, or as much of its start as fits into so many columns with `…` behind it. Colours take no column and are ended. */
export function cutToWidth(text: string, columns: number): string {
  const parts = text.split(COLOR_SEQUENCE);
  if (displayWidth(parts.filter((_, index) => index % 2 === 0).join("")) <= columns) return text;
  let left = columns - CUT_MARK.length;
  let kept = "";
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 1) {
      kept += part;
      continue;
    }
    const start = startOf(part, left);
    kept += start;
    left -= displayWidth(start);
    if (start.length < part.length) break;
  }
  return `${kept}${columns > 0 ? CUT_MARK : ""}${parts.length > 1 ? RESET : ""}`;
}

function startOf(text: string, columns: number): string {
  if (ONE_COLUMN_EACH.test(text)) return text.slice(0, Math.max(0, columns));
  let width = 0;
  for (const { segment, index } of SEGMENTER.segment(text)) {
    width += graphemeWidth(segment);
    if (width > columns) return text.slice(0, index);
  }
  return text;
}

function graphemeWidth(grapheme: string): number {
  if (NO_COLUMN.test(grapheme)) return 0;
  return WIDE.test(grapheme) || grapheme.includes("\ufe0f") ? 2 : 1;
}
