/** What a mail says. Everything is plain text; names that people chose may stand in it. */
export interface Letter {
  /** One address. */
  readonly to: string;
  readonly subject: string;
  readonly paragraphs: readonly string[];
  /** A code to type, or a link to open; shown apart. */
  readonly code?: string;
  readonly link?: string;
}

export interface RenderedLetter {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

const MAX_SUBJECT_CHARS = 150;
const SIGNATURE = "Shipfox, self-hosted. If you did not ask for this mail, ignore it.";

/** Text and HTML of one letter, with the same words. */
export function renderLetter({ subject, paragraphs, code, link }: Letter): RenderedLetter {
  const apart = code ?? link;
  const shown = paragraphs.map(oneLine);
  const text = [...shown, ...(apart === undefined ? [] : [`    ${apart}`]), "-- ", SIGNATURE].join("\n\n");
  const html = [
    "<!doctype html>",
    '<html><body style="font-family: sans-serif; line-height: 1.5">',
    ...shown.map((paragraph) => `<p>${escapeHtml(paragraph)}</p>`),
    ...(code === undefined ? [] : [`<p style="font-size: 1.5em"><b>${escapeHtml(code)}</b></p>`]),
    ...(link === undefined ? [] : [`<p><a href="${escapeHtml(link)}">${escapeHtml(link)}</a></p>`]),
    `<p style="color: #666">${escapeHtml(SIGNATURE)}</p>`,
    "</body></html>",
    "",
  ].join("\n");
  return { subject: oneLine(subject).slice(0, MAX_SUBJECT_CHARS).toWellFormed(), text: `${text}\n`, html };
}

/** A name with line ends could become a header of its own, or a paragraph that we seem to have written. */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").trim();
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
