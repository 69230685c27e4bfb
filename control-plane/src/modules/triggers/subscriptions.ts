import { newId } from "@shipfox/shared/ids";
import type { DefinitionRow, TriggerSubscriptionRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import { nextFire, type TriggerModel } from "../workflow/public.ts";
import { releaseEvents } from "./wait-for-sync.ts";
import { deleteSubscriptions, subscriptionsOf, upsertSubscription } from "./subscription-store.ts";

export type SubscribedDefinition = Pick<DefinitionRow, "id" | "workspace_id" | "project_id">;

/** Which events and times start runs of which definitions: the triggers of all definitions, as rows. */
export class Subscriptions {
  readonly #arm: (at: number) => void;

  /** `arm` is told when the next schedule is due, after the commit. */
  constructor(arm: (at: number) => void) {
    this.#arm = arm;
  }

  /** The definitions of a project are what its repository said at `readAt`, or stay what they were: what waited for that is routed. */
  async settled(tx: WriteTx, projectId: string, readAt: number, now: number): Promise<void> {
    if (await releaseEvents(tx, projectId, readAt, now)) tx.afterCommit(() => this.#arm(now));
  }

  /**
   * Makes the triggers of a definition what they are now, in the transaction that saves it. A trigger that keeps its key keeps
   * its id, and one that keeps its schedule keeps its next time.
   */
  async replace(
    tx: WriteTx,
    definition: SubscribedDefinition,
    triggers: readonly TriggerModel[],
    now: number,
  ): Promise<void> {
    const known = new Map((await subscriptionsOf(tx, definition.id)).map((row) => [row.trigger_key, row]));
    const keys = new Set(triggers.map(({ key }) => key));
    const gone = [...known.values()].filter((row) => !keys.has(row.trigger_key));
    await deleteSubscriptions(
      tx,
      gone.map(({ id }) => id),
    );
    for (const trigger of triggers) {
      const row = subscriptionRow(definition, trigger, known.get(trigger.key), now);
      await upsertSubscription(tx, row);
      const { next_fire_at: at } = row;
      if (at !== null) tx.afterCommit(() => this.#arm(at));
    }
  }
}

function subscriptionRow(
  definition: SubscribedDefinition,
  trigger: TriggerModel,
  former: TriggerSubscriptionRow | undefined,
  now: number,
): TriggerSubscriptionRow {
  const id = former?.id ?? newId(now);
  const common = {
    id,
    workspace_id: definition.workspace_id,
    project_id: definition.project_id,
    definition_id: definition.id,
    trigger_key: trigger.key,
    source: trigger.source,
    event: trigger.event,
    inputs: trigger.with === null ? null : JSON.stringify(trigger.with),
    // Grows with each save, so that it tells versions apart.
    updated_at: Math.max(now, (former?.updated_at ?? 0) + 1),
  };
  if (!("schedule" in trigger)) {
    const { filter, workflow = null } = trigger;
    return { ...common, filter, workflow, schedule: null, timezone: null, next_fire_at: null };
  }
  const { schedule, timezone } = trigger;
  const keeps = former?.schedule === schedule && former.timezone === timezone;
  const next = keeps ? former.next_fire_at : nextFire({ schedule, timezone, seed: id }, now);
  return { ...common, filter: null, workflow: null, schedule, timezone, next_fire_at: next };
}
