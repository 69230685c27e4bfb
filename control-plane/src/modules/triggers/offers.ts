import { createHash } from "node:crypto";
import type { TriggerEventRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { parseValues } from "../workflow/public.ts";
import type { EvaluateFilter, FilterVerdict } from "./ports.ts";
import { type Candidate, candidatesOf, filesOf } from "./subscription-store.ts";

/** Subscriptions read at once. */
const CANDIDATES = 100;

/** What a subscription says of an event. */
export interface Offer {
  readonly subscription: Candidate;
  readonly verdict: FilterVerdict;
}

/** Asks the subscriptions that name the source and the event, in the order of their ids; `decided` ones too. */
export async function* offersOf(
  { store, evaluate }: { store: Store; evaluate: EvaluateFilter },
  event: TriggerEventRow,
): AsyncGenerator<Offer> {
  const trigger = { source: event.source, event: event.event };
  let payload: unknown;
  for (let after = ""; ; ) {
    const page = await store.read((tx) => candidatesOf(tx, event, { after, limit: CANDIDATES }));
    for (const subscription of page) {
      if (subscription.filter === null || subscription.decision !== null) {
        yield { subscription, verdict: { kind: subscription.decision === "filter-error" ? "no-match" : "match" } };
        continue;
      }
      payload ??= parseValues(event.payload ?? "null");
      yield { subscription, verdict: await evaluate(subscription.filter, { event: payload, trigger }) };
    }
    const last = page.at(-1);
    if (!last || page.length < CANDIDATES) return;
    after = last.id;
  }
}

/**
 * Of the files of the workflows that these subscriptions are of, and of the jobs that listen: what an approval is for. Null when
 * one has just changed.
 */
export async function hashOfWorkflows(
  store: Store,
  subscriptions: readonly Candidate[],
  listeners: readonly string[],
): Promise<string | null> {
  const hash = createHash("sha256");
  for (const subscription of subscriptions) {
    const files = await store.read((tx) => filesOf(tx, subscription));
    if (files === null) return null;
    hash.update(`${subscription.id} ${createHash("sha256").update(files).digest("hex")}\n`);
  }
  for (const jobId of listeners) hash.update(`${jobId}\n`);
  return hash.digest("hex");
}
