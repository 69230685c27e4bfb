import type { TriggerEventRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import {
  listenerIsFull,
  lockListener,
  type Matcher,
  resolveByEvent,
  type RunsDeps,
  takeEvent,
} from "../runs/public.ts";
import { insertListenerDecision } from "./decision-store.ts";

const FULL = "listener-full: as many events wait for the next execution of the job as may; replay the event later";

/**
 * Gives a listening job an event that one of its triggers matched, and writes down that it did, in the caller's unit; nothing when
 * this pass over the event did before, or when the job has stopped listening.
 */
export async function deliverToListener(
  tx: WriteTx,
  runs: RunsDeps,
  { event, matcher, now }: { event: TriggerEventRow; matcher: Matcher; now: number },
): Promise<void> {
  const listener = await lockListener(tx, runs.forUpdate, matcher.job_id);
  if (listener?.status !== "listening") return;
  const isFull = matcher.matcher_kind === "on" && (await listenerIsFull(tx, listener));
  const decided = { decision: isFull ? "dispatch-error" : "triggered", reason: isFull ? FULL : null, now } as const;
  if (!(await insertListenerDecision(tx, event, { matcher, runId: listener.run_id }, decided)) || isFull) return;
  if (matcher.matcher_kind === "until") await resolveByEvent(tx, runs, listener, now);
  else await takeEvent(tx, runs, listener, event, now);
}
