import type { RunRow } from "../../store/schema.ts";

/** What artifacts and caches may take; bytes. */
export interface FileSettings {
  readonly maxArtifactBytes: number;
  readonly maxRunArtifactBytes: number;
  readonly maxWorkspaceArtifactBytes: number;
  readonly maxCacheBytes: number;
  readonly maxWorkspaceCacheBytes: number;
  /** How long an artifact is kept that says nothing of it. */
  readonly artifactRetentionMs: number | null;
}

/** Artifacts that one run may have. */
export const MAX_RUN_ARTIFACTS = 1_000;
/** An upload that is not complete by then is given up; a job's last uploads take minutes. */
export const UPLOAD_LIMIT_MS = 24 * 3_600_000;

/** What becomes of a part that is sent to `offset` of a file of which `committed` bytes are there. */
export function decidePart(
  upload: { committed: number; size: number },
  part: { offset: number; length: number },
): "store" | "acknowledge" | "gap" | "too-long" {
  const end = part.offset + part.length;
  if (end > upload.size) return "too-long";
  if (end <= upload.committed) return "acknowledge";
  return part.offset === upload.committed ? "store" : "gap";
}

export interface CacheScope {
  /** The run's own ref. */
  readonly own: string;
  readonly defaultBranch: string;
  readonly mayWrite: boolean;
}

/** Whose caches a run sees, and whether it may add to them. */
export function cacheScope(run: Pick<RunRow, "ref" | "untrusted">, defaultBranch: string): CacheScope {
  const branch = `refs/heads/${defaultBranch}`;
  const trusted = run.untrusted === 0;
  // A stranger names his branch as he likes: it means nothing here.
  return { own: trusted ? (run.ref ?? branch) : branch, defaultBranch: branch, mayWrite: trusted };
}

/** The refs whose caches a run may get, its own first. */
export function readableRefs({ own, defaultBranch }: CacheScope): string[] {
  return [...new Set([own, defaultBranch])];
}

/**
 * Those that must go, the least recently used first, so that `needed` bytes get free; null when all of them are not enough.
 */
export function chooseEvictions<Row extends { readonly size: number }>(
  leastRecentlyUsed: readonly Row[],
  needed: number,
): Row[] | null {
  const chosen: Row[] = [];
  let freed = 0;
  for (const row of leastRecentlyUsed) {
    if (freed >= needed) break;
    chosen.push(row);
    freed += row.size;
  }
  return freed >= needed ? chosen : null;
}
