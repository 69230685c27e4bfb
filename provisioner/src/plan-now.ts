import { z } from "zod";
import { offerOf } from "./demand.ts";
import { type Plan, planOf, planSchema } from "./plan.ts";
import type { World } from "./world.ts";

const CALL_LIMIT_MS = 15_000;
/** What `plan` waits for the daemon's answer. */
export const ANSWER_LIMIT_MS = 20_000;

/** The daemon's answer to `plan`; `fault` is a sentence. */
export const planAnswerSchema = z.union([z.object({ plan: planSchema }), z.object({ fault: z.string() })]);

/** What the daemon would create now: asked of the control plane without reserving anything. Never rejects. */
export async function answerPlan(world: World): Promise<z.infer<typeof planAnswerSchema>> {
  try {
    return { plan: await planNow(world) };
  } catch (error) {
    return { fault: (error as Error).message };
  }
}

async function planNow(world: World): Promise<Plan> {
  const { situation, templates } = offerOf(world);
  const demand = await world.controlPlane.pollDemand(
    { templates, maxReservations: 0, waitSeconds: 0 },
    AbortSignal.timeout(CALL_LIMIT_MS),
  );
  return planOf(situation, demand, heldBy(world));
}

function heldBy({ monitor, fleet }: World): string | null {
  if (monitor.draining) return "the provisioner is draining";
  return fleet.isKnown ? null : "the machines of the provider have not been listed yet";
}
