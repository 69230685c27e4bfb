import type { DemandReply } from "@shipfox/shared/provisioner";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import type { Dispatch } from "../dispatch/public.ts";
import { type DemandRound, lookAtDemand } from "./demand.ts";
import type { DemandWaiters } from "./demand-waiters.ts";
import { advertise, type Holder, holdPool, seeProvisioner } from "./pool-store.ts";
import { dropReservation, dropReservationsOf } from "./reservation-store.ts";

/** A poll that nobody woke looks again by itself: runners come and go, reservations expire. */
const LOOK_AGAIN_MS = 5_000;

export interface PollDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly dispatch: Dispatch;
  readonly waiters: DemandWaiters;
  /** Tells the due loop of a boot deadline. */
  readonly armDue: (at: number) => void;
}

export interface DemandPoll extends DemandRound {
  readonly token: string;
  readonly holder: Holder | null;
  readonly waitMs: number;
  /** Aborted when the caller is gone. */
  readonly signal: AbortSignal;
}

/**
 * Waits until there is something for the provisioner to do, or until its time is over: one who has no room waits for what is to be
 * removed. What was reserved for a caller who is gone is free again, and so is, when a daemon that holds the pool polls again, what
 * it has not used of its former reservations.
 */
export async function pollDemand(deps: PollDeps, poll: DemandPoll): Promise<DemandReply> {
  const { store, clock, dispatch, waiters } = deps;
  const deadline = clock.monotonic() + poll.waitMs;
  for (let first = true; ; first = false) {
    const now = clock.now();
    const { workspaceId, reply } = await store.write(async (tx) => {
      const provisioner = await seeProvisioner(tx, poll.token, now);
      await holdPool(tx, provisioner, poll.holder, now);
      if (first) await advertise(tx, provisioner.id, poll.templates, now);
      // A daemon polls again when it has used what it could, or was started anew: then it will not use the rest.
      if (first && poll.holder !== null) await dropReservationsOf(tx, provisioner.id);
      return { workspaceId: provisioner.workspace_id, reply: await lookAtDemand(tx, dispatch, provisioner, poll, now) };
    });
    if (poll.signal.aborted) {
      await store.write(async (tx) => {
        for (const { reservation_id: id } of reply.reservations) await dropReservation(tx, id);
      });
      return reply;
    }
    const left = deadline - clock.monotonic();
    if (reply.reservations.length > 0 || reply.terminate.length > 0 || left <= 0) return reply;
    if ((await waiters.next(workspaceId, Math.min(left, LOOK_AGAIN_MS), poll.signal)) === "over") return reply;
  }
}
