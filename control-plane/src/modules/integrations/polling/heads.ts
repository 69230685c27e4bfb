/** Commits by full name of the branch. */
export type Heads = Readonly<Record<string, string>>;

/** What a push has in place of a commit before its branch was there. */
export const NO_COMMIT = "0".repeat(40);

export interface Push {
  readonly ref: string;
  readonly before: string;
  readonly after: string;
}

/**
 * The pushes that lie between two looks at a repository, at most `limit`, and what counts as seen after them. The first look
 * only learns where the branches are; a branch that is gone is forgotten.
 */
export function decidePushes(known: Heads | null, found: Heads, limit: number): { pushes: Push[]; seen: Heads } {
  if (known === null) return { pushes: [], seen: found };
  const moved = Object.entries(found).filter(([ref, commit]) => known[ref] !== commit);
  const pushes = moved.slice(0, limit).map(([ref, after]) => ({ ref, before: known[ref] ?? NO_COMMIT, after }));
  const later = moved.slice(limit).flatMap(([ref]) => (known[ref] === undefined ? [] : [[ref, known[ref]] as const]));
  const left = new Set(moved.slice(limit).map(([ref]) => ref));
  const seen = Object.entries(found).filter(([ref]) => !left.has(ref));
  return { pushes, seen: Object.fromEntries([...seen, ...later]) };
}

/** `ref` names first the default branch; a repository with more branches than `limit` is followed on that one only. */
export function readHeads(output: string, branch: string, limit: number): Heads {
  const lines = [...output.matchAll(/^([0-9a-f]{40,64})\t(refs\/heads\/\S+)$/gm)];
  const own = `refs/heads/${branch}`;
  const followed = lines.length > limit ? lines.filter(([, , ref]) => ref === own) : lines;
  return Object.fromEntries(followed.map(([, commit = "", ref = ""]) => [ref, commit]));
}
