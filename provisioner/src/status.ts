import { VERSION } from "@shipfox/shared/version";
import { z } from "zod";
import { situationOf, type World } from "./world.ts";

const count = z.int().min(0);
export const statusSchema = z.object({
  version: z.string(),
  pid: z.int(),
  started_at: z.string(),
  pool: z.string(),
  provider: z.string(),
  health: z.object({ state: z.enum(["healthy", "unhealthy", "read_only", "draining"]), reason: z.string().nullable() }),
  held_by: z.object({ host: z.string(), until: z.string() }).nullable(),
  templates_fault: z.string().nullable(),
  last_list_at: z.string().nullable(),
  last_poll_at: z.string().nullable(),
  machines: z.object({ foreign: count, unknown: count, doubted: count, deletions_waiting: count }),
  templates: z.array(
    z.object({
      template_key: z.string(),
      starting: count,
      idle: count,
      busy: count,
      leaving: count,
      circuit: z.enum(["closed", "open", "half_open"]),
      fault: z.string().nullable(),
      next_try_at: z.string().nullable(),
    }),
  ),
});
export type Status = z.output<typeof statusSchema>;

export function readStatus(world: World): Status {
  const { monitor, budgets, owner } = world;
  const situation = situationOf(world);
  const keys = new Set([...situation.file.templates.map(({ key }) => key), ...situation.counts.keys()]);
  const time = (at: number | null) => (at === null ? null : new Date(at).toISOString());
  return {
    version: VERSION,
    pid: process.pid,
    started_at: new Date(monitor.startedAt).toISOString(),
    pool: owner.pool,
    provider: situation.file.provider.kind,
    health: healthOf(world),
    held_by: monitor.heldBy,
    templates_fault: monitor.templatesFault,
    last_list_at: time(monitor.lastListAt),
    last_poll_at: time(monitor.lastPollAt),
    machines: {
      foreign: monitor.foreign,
      unknown: monitor.unknown,
      doubted: monitor.doubted,
      deletions_waiting: monitor.deletionsWaiting,
    },
    templates: [...keys].sort().map((key) => {
      const counts = situation.counts.get(key);
      const fault = situation.allowances.get(key)?.fault;
      return {
        template_key: key,
        starting: counts?.starting ?? 0,
        idle: counts?.idle.length ?? 0,
        busy: counts?.busy ?? 0,
        leaving: counts?.leaving ?? 0,
        circuit: budgets.circuit(key),
        fault: fault?.message ?? null,
        next_try_at: fault?.next_try_at ?? null,
      };
    }),
  };
}

export function healthOf({ monitor }: Pick<World, "monitor">): Status["health"] {
  if (monitor.heldBy)
    return { state: "read_only", reason: `the daemon on ${monitor.heldBy.host} works with this token` };
  const reason = monitor.controlPlaneFault ?? monitor.providerFault ?? monitor.templatesFault;
  if (reason !== null) return { state: "unhealthy", reason };
  return { state: monitor.draining ? "draining" : "healthy", reason: null };
}

export function describeHealth({ state, reason }: Status["health"]): string {
  return reason === null ? state : `${state}: ${reason}`;
}
