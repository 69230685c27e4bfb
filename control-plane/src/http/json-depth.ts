/** Levels of lists and mappings in a body; outputs of jobs may have 64. */
export const MAX_JSON_DEPTH = 100;

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const OPENERS = new Set([0x5b, 0x7b]);
const CLOSERS = new Set([0x5d, 0x7d]);

/** What follows walks a body by recursion, so its depth is bounded before. Looks at brackets outside of strings only. */
export function isTooDeep(json: Buffer): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at] as number;
    if (inString) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (OPENERS.has(byte)) {
      depth += 1;
      if (depth > MAX_JSON_DEPTH) return true;
    } else if (CLOSERS.has(byte)) depth -= 1;
  }
  return false;
}
