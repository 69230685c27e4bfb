import type { WriteTx } from "../../store/store.ts";
import type { StartRun } from "../runs/public.ts";

/** A run that an event starts, of the definition as it is now. */
export interface TriggeredRun extends Pick<StartRun, "trigger" | "pinnedCommit" | "depth" | "inputs" | "now"> {
  readonly definitionId: string;
  /** Of the event: a run that a stranger may have caused saves no caches. */
  readonly untrusted: boolean;
}

/**
 * Creates a run inside the caller's unit. Bound to definitions by app.ts, which lie above. Throws ApiError when none can be
 * created.
 */
export type StartTriggered = (tx: WriteTx, run: TriggeredRun) => Promise<{ readonly runId: string }>;

/** What a filter says of an event. */
export type FilterVerdict =
  | { readonly kind: "match" | "no-match" }
  /** `reason` is for people. */
  | { readonly kind: "error"; readonly reason: string };

/** Evaluates a bare expression, with a deadline, outside of any unit. Never rejects for what the expression does. */
export type EvaluateFilter = (filter: string, roots: Readonly<Record<string, unknown>>) => Promise<FilterVerdict>;
