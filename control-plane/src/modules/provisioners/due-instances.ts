import type { Store } from "../../store/store.ts";
import type { DemandWaiters } from "./demand-waiters.ts";
import { dueInstances, markForTermination, nextDueInstance } from "./instance-store.ts";
import { dropExpired } from "./reservation-store.ts";

/** Instances taken in one transaction. */
const BATCH = 100;

/** Gives up instances whose runner did not register in time. Answers when the next is due. */
export async function runDueInstances(store: Store, waiters: DemandWaiters, now: number): Promise<number | null> {
  const workspaces = await store.write(async (tx) => {
    await dropExpired(tx, now);
    const due = await dueInstances(tx, now, BATCH);
    for (const instance of due) await markForTermination(tx, instance.id, "boot_timeout");
    return new Set(due.map(({ workspace_id: id }) => id));
  });
  for (const workspaceId of workspaces) waiters.wake(workspaceId);
  return store.read(nextDueInstance);
}
