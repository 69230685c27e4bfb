import { newId } from "@shipfox/shared/ids";
import type { Logger } from "@shipfox/shared/logger";
import type { Clock } from "../../store/clock.ts";
import type { TriggerEventRow, TriggerSubscriptionRow } from "../../store/schema.ts";
import type { Store, WriteTx } from "../../store/store.ts";
import { nextFire } from "../workflow/public.ts";
import { insertDecision, setRun } from "./decision-store.ts";
import type { StartTriggered } from "./ports.ts";
import { permanentReason } from "./permanent-reason.ts";
import { keepEvent, MAX_STORED_EVENTS, NO_APPROVAL } from "./store-trigger-event.ts";
import { dueSchedules, moveOn, nextSchedule } from "./subscription-store.ts";

/** Schedules looked at in one round; the loop comes back at once while there are more. */
const BATCH = 100;
/** A start that failed for a reason that may pass is tried again after this. */
const RETRY_MS = 5_000;

export interface SchedulesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly start: StartTriggered;
}

type Due = TriggerSubscriptionRow & { readonly next_fire_at: number; readonly schedule: string };

/**
 * Starts the runs of cron triggers. A time that has come starts one run, in the transaction that moves the trigger on to its
 * next time after now: times that passed while nothing was running are one late run.
 */
export class Schedules {
  readonly #deps: SchedulesDeps;

  constructor(deps: SchedulesDeps) {
    this.#deps = deps;
  }

  /** Fires what is due and answers when the next is; null when nothing is planned. */
  async runDue(now: number): Promise<number | null> {
    const { store, log } = this.#deps;
    let failed = false;
    for (const { starts, ...row } of await store.read((tx) => dueSchedules(tx, now, BATCH))) {
      try {
        if (isDue(row)) await this.#fire(row, starts === 1);
      } catch (error) {
        failed = true;
        log.warn({ err: error, subscriptionId: row.id }, "a scheduled run is started again later");
      }
    }
    return failed ? now + RETRY_MS : store.read(nextSchedule);
  }

  async #fire(due: Due, starts: boolean): Promise<void> {
    const { store, clock } = this.#deps;
    const now = clock.now();
    const { id: seed, schedule, timezone } = due;
    const next = nextFire({ schedule, timezone: timezone ?? "UTC", seed }, now);
    if (!starts) return void (await store.write((tx) => moveOn(tx, due, next)));
    try {
      await store.write((tx) => this.#start(tx, { due, next, now }));
    } catch (error) {
      const reason = permanentReason(error);
      if (reason === null) throw error;
      await store.write((tx) => this.#giveUp(tx, { due, next, now }, reason));
    }
  }

  async #start(tx: WriteTx, firing: Firing): Promise<void> {
    const event = await this.#tick(tx, firing, "routed");
    if (!event) return;
    const { due, now } = firing;
    const decision = await insertDecision(tx, event, due, { decision: "triggered", reason: null, now });
    const names = { provider: "cron", source: "cron", event: "tick" };
    const { runId } = await this.#deps.start(tx, {
      definitionId: due.definition_id,
      untrusted: false,
      trigger: { ...names, payload: { ...names, scheduleId: due.id } },
      inputs: due.inputs === null ? null : JSON.parse(due.inputs),
      now,
    });
    if (decision !== null) await setRun(tx, decision, runId);
  }

  async #giveUp(tx: WriteTx, firing: Firing, reason: string): Promise<void> {
    const event = await this.#tick(tx, firing, "errored");
    if (event) await insertDecision(tx, event, firing.due, { decision: "dispatch-error", reason, now: firing.now });
  }

  /** The event of this time, once; null when somebody else was faster. */
  async #tick(tx: WriteTx, { due, next, now }: Firing, outcome: "routed" | "errored"): Promise<TriggerEventRow | null> {
    if (!(await moveOn(tx, due, next))) return null;
    const event: TriggerEventRow = {
      id: newId(now),
      workspace_id: due.workspace_id,
      origin: "cron",
      event_ref: `${due.id}:${new Date(due.next_fire_at).toISOString()}`,
      provider: "cron",
      source: "cron",
      event: "tick",
      delivery_id: null,
      connection_id: null,
      untrusted: 0,
      payload: null,
      payload_bytes: 0,
      outcome,
      matched_count: 1,
      received_at: now,
      processed_at: now,
      due_at: null,
      created_at: now,
      pass: 1,
      reference: null,
      repository_id: null,
      subject: null,
      subject_at: null,
      head_commit: null,
      ...NO_APPROVAL,
    };
    return (await keepEvent(tx, event, MAX_STORED_EVENTS)) ? event : null;
  }
}

interface Firing {
  readonly due: Due;
  readonly next: number | null;
  readonly now: number;
}

function isDue(row: TriggerSubscriptionRow): row is Due {
  return row.next_fire_at !== null && row.schedule !== null;
}
