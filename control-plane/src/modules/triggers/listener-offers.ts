import type { TriggerEventRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { jobsListeningFor, type Matcher, matchersFor, snapshotOf } from "../runs/public.ts";
import { parseValues } from "../workflow/public.ts";
import type { EvaluateFilter } from "./ports.ts";

/** Jobs read at once. */
const JOBS = 100;

/** What a listening job says of an event: which of its triggers matched, and which could not be asked. */
export interface ListenerOffer {
  readonly jobId: string;
  readonly match: Matcher | null;
  readonly errors: readonly { readonly matcher: Matcher; readonly reason: string }[];
}

/** Asks the jobs that listen for the event, in the order of their ids; those not that have decided in this pass. */
export async function* listenerOffersOf(
  { store, evaluate }: { store: Store; evaluate: EvaluateFilter },
  event: TriggerEventRow,
): AsyncGenerator<ListenerOffer> {
  for (let after = ""; ; ) {
    const jobs = await store.read((tx) => jobsListeningFor(tx, event, { after, limit: JOBS }));
    for (const jobId of jobs) yield await askJob({ store, evaluate }, event, jobId);
    const last = jobs.at(-1);
    if (last === undefined || jobs.length < JOBS) return;
    after = last;
  }
}

/** What ends the listening is asked first, each kind in the order of the file; the first that matches decides. */
async function askJob(
  { store, evaluate }: { store: Store; evaluate: EvaluateFilter },
  event: TriggerEventRow,
  jobId: string,
): Promise<ListenerOffer> {
  const { matchers, snapshot } = await store.read(async (tx) => ({
    matchers: await matchersFor(tx, jobId, event),
    snapshot: await snapshotOf(tx, jobId),
  }));
  const errors: { matcher: Matcher; reason: string }[] = [];
  const hasDecided = matchers.some(({ decision }) => decision !== null && decision !== "filter-error");
  if (snapshot === null || hasDecided) return { jobId, match: null, errors };
  let roots: Record<string, unknown> | null = null;
  for (const matcher of matchers) {
    if (matcher.filter === null) return { jobId, match: matcher, errors };
    roots ??= { ...(parseValues(snapshot) as object), event: parseValues(event.payload ?? "null") };
    const verdict = await evaluate(matcher.filter, roots);
    if (verdict.kind === "match") return { jobId, match: matcher, errors };
    if (verdict.kind === "error") errors.push({ matcher, reason: verdict.reason });
  }
  return { jobId, match: null, errors };
}
