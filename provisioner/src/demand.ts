import { type AdvertisedTemplate, MAX_DEMAND_WAIT_SECONDS, MAX_RESERVATIONS } from "@shipfox/shared/provisioner";
import type { InstanceMaker } from "./create-instances.ts";
import type { Situation } from "./policy-port.ts";
import { situationOf, type World } from "./world.ts";

/** While some template has no room, what it gets in the meantime must be told soon. */
const SHORT_WAIT_SECONDS = 5;

export interface DemandOutcome {
  /** Ids that the control plane wants to be rid of. */
  readonly unwanted: readonly string[];
  /** Whether the control plane was asked to wait for something to do. */
  readonly hasWaited: boolean;
}

/** What can be started now. Before the first comparison nothing is known to exist: whatever is started could be too much. */
export function offerOf(world: World): { isReady: boolean; situation: Situation; templates: AdvertisedTemplate[] } {
  const isReady = world.fleet.isKnown && !world.monitor.draining;
  const situation = situationOf(world);
  const templates = world.policy.advertise(situation);
  return {
    isReady,
    situation,
    templates: isReady ? templates : templates.map((template) => ({ ...template, available_slots: 0 })),
  };
}

/** One poll: what could be started is told, what is reserved is made, and the idle pools are filled. */
export async function demandRound(world: World, maker: InstanceMaker, signal: AbortSignal): Promise<DemandOutcome> {
  const { controlPlane, policy, monitor, time, fleet } = world;
  const { isReady, situation, templates } = offerOf(world);
  const slots = templates.reduce((sum, { available_slots: free }) => sum + free, 0);
  const isFull = templates.some(({ available_slots: free }) => free === 0);
  const longestWait = isFull ? SHORT_WAIT_SECONDS : MAX_DEMAND_WAIT_SECONDS;
  // The first comparison tells at any moment what may be made.
  const waitSeconds = fleet.isKnown ? longestWait : 0;
  const reply = await controlPlane.pollDemand(
    {
      templates,
      maxReservations: Math.min(MAX_RESERVATIONS, slots, policy.room(situation)),
      waitSeconds,
    },
    signal,
  );
  monitor.lastPollAt = time.now();
  if (isReady && !signal.aborted) await maker.make(reply.reservations);
  return {
    unwanted: reply.terminate.map(({ runner_instance_id: id }) => id),
    hasWaited: waitSeconds > 0,
  };
}
