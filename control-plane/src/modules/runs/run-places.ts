import { ApiError } from "@shipfox/shared/errors";
import type { Store, Tx, WriteTx } from "../../store/store.ts";
import { advanceRun } from "./advance-run.ts";
import { decidePlaces } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import {
  countGoing,
  countWaiting,
  findLimit,
  lockLimit,
  lookAtPlaces,
  setLimit,
  takeFirstWaiting,
  workspacesWithWaiting,
} from "./run-places-store.ts";
import { record } from "./record-event.ts";

/** Runs that get a place in one transaction; each may queue many jobs. The next round gives the rest. */
const MAX_FILLED = 50;
const MAX_WORKSPACES = 100;
/** Places are given away by the run that ends; this is for what a changed setting or a restart left. */
const SWEEP_MS = 60_000;

/** What run places need of `RunsDeps`. */
export type PlacesDeps = Omit<RunsDeps, "logs">;

/** How many runs the workspace may have going at once; 0 for any number. */
export async function effectiveLimit(tx: Tx, deps: PlacesDeps, workspaceId: string): Promise<number> {
  return (await findLimit(tx, workspaceId)) ?? deps.maxConcurrentRuns;
}

/**
 * Gives free places to the runs that wait, first created first, and queues their jobs. Called whenever a place may have
 * become free, in the transaction that freed it. True when more could get one. Safe to repeat.
 *
 * Locks the workspace's limit before it counts, so that a run which asks for a place meanwhile counts before or after, never
 * beside. The lock comes after the run that ended and before the runs that start.
 */
export async function fillPlaces(tx: WriteTx, deps: PlacesDeps, workspaceId: string, now: number): Promise<boolean> {
  const look = await lookAtPlaces(tx, workspaceId);
  if ((look.limit ?? deps.maxConcurrentRuns) === 0 && !look.someWait) return false;
  const limit = (await lockLimit(tx, deps.forUpdate, workspaceId)) ?? deps.maxConcurrentRuns;
  const going = limit === 0 ? 0 : await countGoing(tx, workspaceId, limit);
  const waiting = await countWaiting(tx, workspaceId, MAX_FILLED + 1);
  let places = decidePlaces({ limit, going, waiting });
  for (let given = 0; given < Math.min(places, MAX_FILLED); given += 1) {
    const run = await takeFirstWaiting(tx, deps.skipLocked, workspaceId, now);
    if (!run) return false;
    record(tx, run, "run.place_given", { waited_ms: now - run.wanted_at }, now);
    const { finished } = await advanceRun(tx, deps, run, now);
    // Conditions may skip all of a run at once, which frees its place again.
    if (finished) places += 1;
  }
  return places > MAX_FILLED;
}

/** What `Prefer: reject` asks for: no run rather than one that waits. The transaction is rolled back. */
export function concurrencyLimit(limit: number): ApiError {
  return new ApiError("concurrency-limit", `the workspace has ${limit} runs going, as many as it may at once`, {
    details: { max_concurrent_runs: limit },
  });
}

/** Sets the workspace's own limit, null for the server's, and starts what may start now. Answers whether more could. */
export async function changeLimit(
  tx: WriteTx,
  deps: PlacesDeps,
  change: { workspaceId: string; limit: number | null; now: number },
): Promise<boolean> {
  await setLimit(tx, change.workspaceId, change.limit);
  return fillPlaces(tx, deps, change.workspaceId, change.now);
}

/** Gives the places that nobody gave: after a restart, or with another limit. Answers when to look again. */
export async function fillDuePlaces(store: Store, deps: PlacesDeps, now: number): Promise<number> {
  let more = false;
  for (const workspaceId of await store.read((tx) => workspacesWithWaiting(tx, MAX_WORKSPACES))) {
    more = (await store.write((tx) => fillPlaces(tx, deps, workspaceId, now))) || more;
  }
  return more ? now : now + SWEEP_MS;
}
