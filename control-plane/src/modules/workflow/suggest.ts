/** Longer words are not typing mistakes, and comparing them costs time. */
const MAX_WORD_CHARACTERS = 64;
const MAX_EDITS = 2;
const CHARACTERS_PER_EDIT = 3;

/** Names that other CI systems use for the same thing, best match first. */
const NAMES_ELSEWHERE = new Map<string, readonly string[]>([
  ["command", ["run"]],
  ["commands", ["run"]],
  ["container", ["image"]],
  ["depends_on", ["needs"]],
  ["environment", ["env"]],
  ["id", ["key"]],
  ["inputs", ["with"]],
  ["on", ["triggers"]],
  ["runs_on", ["runner"]],
  ["script", ["run"]],
  ["tags", ["runner"]],
  ["timeout", ["execution_timeout"]],
  ["timeout_minutes", ["execution_timeout", "timeout"]],
  ["variables", ["env"]],
]);

/** The candidate that the author of `word` probably meant, or undefined when none is near. */
export function suggest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > MAX_WORD_CHARACTERS) return undefined;
  const wanted = normalise(word);
  const elsewhere = NAMES_ELSEWHERE.get(wanted)?.find((name) => candidates.includes(name));
  if (elsewhere) return elsewhere;

  const allowed = Math.min(MAX_EDITS, Math.max(1, Math.floor(wanted.length / CHARACTERS_PER_EDIT)));
  let best: { candidate: string; edits: number } | undefined;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > MAX_EDITS) continue;
    const edits = editDistance(wanted, normalise(candidate), allowed);
    if (edits !== null && edits < candidate.length && (!best || edits < best.edits)) best = { candidate, edits };
  }
  return best?.candidate;
}

function normalise(word: string): string {
  return word.toLowerCase().replaceAll("-", "_");
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`; null when `most` are not enough. */
function editDistance(a: string, b: string, most: number): number | null {
  const tooMany = most + 1;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current: number[] = Array(b.length + 1).fill(tooMany);
    if (row <= most) current[0] = row;
    let fewest = current[0] ?? tooMany;
    // Further from the diagonal there are too many insertions or deletions already.
    for (let column = Math.max(1, row - most); column <= Math.min(b.length, row + most); column++) {
      const replace = (previous[column - 1] ?? tooMany) + (a[row - 1] === b[column - 1] ? 0 : 1);
      let edits = Math.min(replace, (previous[column] ?? tooMany) + 1, (current[column - 1] ?? tooMany) + 1);
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) edits = Math.min(edits, (beforePrevious[column - 2] ?? tooMany) + 1);
      current[column] = edits;
      fewest = Math.min(fewest, edits);
    }
    // A swap looks two rows back, so one row alone decides nothing.
    if (fewest > most && Math.min(...previous) >= most) return null;
    beforePrevious = previous;
    previous = current;
  }
  const edits = previous[b.length] ?? 0;
  return edits <= most ? edits : null;
}
