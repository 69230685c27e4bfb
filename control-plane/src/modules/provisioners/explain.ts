import type { Waiting } from "@shipfox/shared/api/runs";
import type { AdvertisedTemplate } from "@shipfox/shared/provisioner";
import type { Clock } from "../../store/clock.ts";
import type { Tx } from "../../store/store.ts";
import type { ExplainWaiting, WaitingPort } from "../runs/public.ts";
import { type OpenInstance, openInstancesIn } from "./instance-store.ts";
import { abilityOf, isComing, parsed, satisfies } from "./model.ts";
import { ADVERTISED_MS, livePools, templatesOf } from "./pool-store.ts";

type Entry = Parameters<ExplainWaiting>[0];

/** Templates that one message names. */
const MAX_NAMED = 3;

/** Adds to why a job waits what provisioners do about it. */
export function explainWithProvisioners(port: WaitingPort, clock: Clock): WaitingPort {
  return {
    explainIn(tx) {
      const explain = port.explainIn(tx);
      const known = new Map<string, Promise<Provisioned | null>>();
      return async (entry) => {
        const waiting = await explain(entry);
        if (waiting.reason === "fair_share") return waiting;
        const reading = known.get(entry.workspaceId) ?? readProvisioned(tx, entry.workspaceId, clock.now());
        known.set(entry.workspaceId, reading);
        const provisioned = await reading;
        return provisioned ? explainProvisioned(waiting, entry, provisioned.templates, provisioned.coming) : waiting;
      };
    },
  };
}

interface Provisioned {
  readonly templates: readonly AdvertisedTemplate[];
  /** Instances whose runner will take a job. */
  readonly coming: readonly OpenInstance[];
}

/** Null in a workspace without a provisioner that was heard from lately. */
async function readProvisioned(tx: Tx, workspaceId: string, now: number): Promise<Provisioned | null> {
  const pools = await livePools(tx, workspaceId, now);
  if (pools.length === 0) return null;
  const instances = await openInstancesIn(tx, workspaceId, now - ADVERTISED_MS);
  return { templates: pools.flatMap(templatesOf), coming: instances.filter((instance) => isComing(instance, now)) };
}

/** Pure: what the templates of the provisioners and the instances that start say about a job that no runner can have now. */
export function explainProvisioned(
  waiting: Waiting,
  entry: Pick<Entry, "labels" | "capabilities">,
  templates: readonly AdvertisedTemplate[],
  starting: readonly Pick<OpenInstance, "labels" | "capabilities" | "template_key">[],
): Waiting {
  const able = templates.filter((template) => satisfies(abilityOf(template), entry));
  const coming = starting.filter((instance) => satisfies(abilityOf(parsed(instance)), entry));
  if (coming.length > 0) {
    const from = named(coming.map(({ template_key: key }) => key));
    return {
      ...waiting,
      reason: "starting",
      message: `${counted(coming.length, "runner instance")} of ${from} will take it`,
    };
  }
  if (able.length === 0) {
    if (waiting.reason === "all_runners_busy" || waiting.reason === "runners_unhealthy") return waiting;
    return { ...waiting, reason: "no_template", message: describeMissing(entry, templates) };
  }
  const keys = named(able.map(({ template_key: key }) => key));
  const faults = able.flatMap(({ fault }) => fault ?? []);
  const [fault] = faults;
  if (fault && faults.length === able.length) {
    const tries = faults.flatMap(({ next_try_at: at }) => at ?? []).sort();
    return {
      ...waiting,
      reason: faults.some(({ kind }) => kind === "provider_error") ? "provider_error" : "circuit_open",
      message: `${keys} cannot start runners: ${fault.message}`,
      ...(tries[0] === undefined ? {} : { next_try_at: tries[0] }),
    };
  }
  if (able.some((template) => template.available_slots > 0 && !template.fault))
    return { ...waiting, reason: "starting", message: `a runner instance of ${keys} is about to be started` };
  return { ...waiting, reason: "template_at_cap", message: `${keys} has as many runner instances as it may` };
}

/** Pure: that neither a runner nor a template gives what is wanted, and what the nearest templates lack. */
export function describeMissing(
  wanted: Pick<Entry, "labels" | "capabilities">,
  templates: readonly Pick<AdvertisedTemplate, "template_key" | "labels" | "capabilities">[],
): string {
  const all = [...wanted.labels, ...wanted.capabilities];
  const what = all.join(", ");
  if (templates.length === 0)
    return `no online runner gives ${what}, and no provisioner offers a template now: those that are there drain, or have none`;
  const near = templates
    .map(({ template_key: key, labels, capabilities }) => {
      const given = new Set<string>([...labels, ...capabilities]);
      return { key, lacks: all.filter((one) => !given.has(one)) };
    })
    .sort((left, right) => left.lacks.length - right.lacks.length || (left.key < right.key ? -1 : 1));
  const shown = near.slice(0, MAX_NAMED).map(({ key, lacks }) => `${key} (without ${lacks.join(", ")})`);
  const more = near.length > MAX_NAMED ? ` and ${near.length - MAX_NAMED} more` : "";
  return `neither an online runner nor a template of the provisioners gives ${what}; there ${near.length === 1 ? "is" : "are"} ${shown.join(", ")}${more}`;
}

function named(keys: readonly string[]): string {
  const unique = [...new Set(keys)].sort();
  const more = unique.length > MAX_NAMED ? ` and ${unique.length - MAX_NAMED} more` : "";
  return `${unique.length === 1 ? "the template" : "the templates"} ${unique.slice(0, MAX_NAMED).join(", ")}${more}`;
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
