import { ApiError } from "@shipfox/shared/errors";
import { type Access, requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Store, Tx } from "../../store/store.ts";
import { attemptWithoutLog, type StepProgress, type StreamRef } from "./model.ts";
import { findStream } from "./store.ts";

/** Where a step belongs and how far it is; null when there is none. Implemented by the runs module. */
export interface StepLookup {
  findStep(
    tx: Tx,
    stepId: string,
  ): Promise<(StepProgress & { readonly workspaceId: string; readonly runId: string }) | null>;
}

export interface FindDeps {
  readonly store: Store;
  readonly access: Access;
  readonly steps: StepLookup;
}

/** The log of an attempt, or what may still come of it. */
export interface Attempt {
  readonly stepId: string;
  readonly attempt: number;
  readonly runId: string;
  readonly workspaceId: string;
  readonly found: StreamRef | "never" | "not-yet" | "running" | "finished";
}

/** The same for whoever may read the step's run already. Throws 404 `not-found` when there is no such step. */
export function attemptOf(
  { store, steps }: Pick<FindDeps, "store" | "steps">,
  stepId: string,
  attempt: number,
): Promise<Attempt> {
  return store.read(async (tx) => {
    const step = await steps.findStep(tx, stepId);
    if (!step) throw noSuchLog();
    return describe(tx, step, stepId, attempt);
  });
}

/** Throws 404 `not-found` when there is no such step for this user. */
export function findAttempt(deps: FindDeps, caller: Caller, stepId: string, attempt: number): Promise<Attempt> {
  return deps.store.read(async (tx) => {
    const step = await deps.steps.findStep(tx, stepId);
    if (!step) throw noSuchLog();
    await requireVisible(deps.access, tx, caller, step.workspaceId, noSuchLog);
    return describe(tx, step, stepId, attempt);
  });
}

async function describe(
  tx: Tx,
  step: NonNullable<Awaited<ReturnType<StepLookup["findStep"]>>>,
  stepId: string,
  attempt: number,
): Promise<Attempt> {
  const { runId, workspaceId } = step;
  const row = await findStream(tx, stepId, attempt);
  return { stepId, attempt, runId, workspaceId, found: row ?? attemptWithoutLog(step, attempt) };
}

export function noSuchLog(): ApiError {
  return new ApiError("not-found", "there is no log of such a step and attempt that you may read");
}
