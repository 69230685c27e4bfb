import type { Store } from "../../store/store.ts";
import { advanceListener } from "./advance-listener.ts";
import { dueListeners, nextDueListener } from "./listener-store.ts";
import type { RunsDeps } from "./ports.ts";

/** Listening jobs looked at in one round; the loop comes back at once while there are more. */
const BATCH = 50;

/** Listening jobs whose moment has come: a batch is complete, or the listening is over. Answers when the next one is due. */
export async function runDueListeners(store: Store, deps: RunsDeps, now: number): Promise<number | null> {
  for (const jobId of await store.read((tx) => dueListeners(tx, now, BATCH)))
    await store.write((tx) => advanceListener(tx, deps, jobId, now));
  return store.read(nextDueListener);
}
