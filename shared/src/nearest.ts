/** Farther than this nobody means the other word. */
const MAX_EDITS = 3;

/** The candidate that needs the fewest letters changed, added, left out or swapped; null when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  const limit = Math.min(MAX_EDITS, Math.ceil(word.length / 2));
  let best: { candidate: string; edits: number } | null = null;
  for (const candidate of candidates) {
    const edits = distance(word, candidate);
    if (edits <= limit && (best === null || edits < best.edits)) best = { candidate, edits };
  }
  return best?.candidate ?? null;
}

/** Optimal string alignment, row by row. */
function distance(from: string, to: string): number {
  let before: number[] = [];
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const isSame = from[row - 1] === to[column - 1];
      let edits = Math.min(
        (above[column] as number) + 1,
        (current[column - 1] as number) + 1,
        (above[column - 1] as number) + (isSame ? 0 : 1),
      );
      const isSwapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (isSwapped) edits = Math.min(edits, (before[column - 2] as number) + 1);
      current.push(edits);
    }
    before = above;
    above = current;
  }
  return above[to.length] as number;
}
