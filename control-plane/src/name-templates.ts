import type { AdvertisedTemplate } from "@shipfox/shared/provisioner";
import type { ExplainWaiting, WaitingPort } from "./modules/runs/public.ts";
import type { Clock } from "./store/clock.ts";
import type { Tx } from "./store/store.ts";

/** As long as what a provisioner said of its templates counts for why a job waits. */
const ADVERTISED_MS = 120_000;
/** Templates that one message names. */
const MAX_NAMED = 3;

const OFFERED = `select p.templates from provisioner_pools p join provisioner_tokens t on t.id = p.provisioner_id
  where p.workspace_id = ? and p.advertised_at > ? and t.revoked_at is null order by p.provisioner_id`;

type Entry = Parameters<ExplainWaiting>[0];

/** Names the templates that are nearest to what a job wants, where no template gives that. */
export function nameTemplates(port: WaitingPort, clock: Clock): WaitingPort {
  return {
    explainIn(tx) {
      const explain = port.explainIn(tx);
      const known = new Map<string, Promise<readonly AdvertisedTemplate[]>>();
      return async (entry) => {
        const waiting = await explain(entry);
        if (waiting.reason !== "no_template") return waiting;
        const reading = known.get(entry.workspaceId) ?? readTemplates(tx, entry.workspaceId, clock.now());
        known.set(entry.workspaceId, reading);
        return { ...waiting, message: describeMissing(entry, await reading) };
      };
    },
  };
}

async function readTemplates(tx: Tx, workspaceId: string, now: number): Promise<readonly AdvertisedTemplate[]> {
  const pools = await tx.all<{ templates: string }>(OFFERED, [workspaceId, now - ADVERTISED_MS]);
  return pools.flatMap(({ templates }) => JSON.parse(templates) as AdvertisedTemplate[]);
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
  const named = near.slice(0, MAX_NAMED).map(({ key, lacks }) => `${key} (without ${lacks.join(", ")})`);
  const more = near.length > MAX_NAMED ? ` and ${near.length - MAX_NAMED} more` : "";
  return `neither an online runner nor a template of the provisioners gives ${what}; there ${near.length === 1 ? "is" : "are"} ${named.join(", ")}${more}`;
}
