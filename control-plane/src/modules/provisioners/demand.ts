import { newId } from "@shipfox/shared/ids";
import { type AdvertisedTemplate, type DemandReply, MAX_UNMATCHED } from "@shipfox/shared/provisioner";
import type { ProvisionerTokenRow, ReservationRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import { type Dispatch, endUnusedSession, idleSessions, isOnline, waitingSets } from "../dispatch/public.ts";
import {
  leftOver,
  markForTermination,
  type OpenInstance,
  openInstancesIn,
  silentInstances,
  toTerminate,
} from "./instance-store.ts";
import { abilityOf, decideDemand, type Demand, isComing, parsed, satisfies, type Supply } from "./model.ts";
import { ADVERTISED_MS, lockPools } from "./pool-store.ts";
import { insertReservation, openReservations } from "./reservation-store.ts";

/** A runner that has done its job signs off; one that has not after this long is removed all the same. */
const EXIT_GRACE_MS = 30_000;
/** A runner without a job that was not heard from for so long has hung, or its machine has. */
const SILENT_MS = 300_000;

export interface DemandRound {
  readonly templates: readonly AdvertisedTemplate[];
  readonly maxReservations: number;
  readonly reservationMs: number;
}

/**
 * One look at what a provisioner should do: instances to start, reserved for it in this transaction, and instances that have
 * nothing more to do. Counts what is idle, starting or reserved by anybody before it asks for more.
 */
export async function lookAtDemand(
  tx: WriteTx,
  dispatch: Dispatch,
  provisioner: ProvisionerTokenRow,
  round: DemandRound,
  now: number,
): Promise<DemandReply> {
  const workspaceId = provisioner.workspace_id;
  await lockPools(tx, dispatch.deps.store.sql.forUpdate, workspaceId);
  const reservations = await openReservations(tx, workspaceId, now);
  const instances = await openInstancesIn(tx, workspaceId, now - ADVERTISED_MS);
  const supply = [
    ...idleRunners(dispatch, workspaceId, instances, now),
    ...reservations.map(supplyOfReservation),
    ...instances.filter((instance) => isComing(instance, now)).map(supplyOfInstance),
  ];
  const own = reservations.filter(({ provisioner_id: id }) => id === provisioner.id);
  const demand = decideDemand(
    waitingSets(dispatch, workspaceId),
    supply,
    freeSlots(round.templates, own),
    round.maxReservations,
  );
  const granted: ReservationRow[] = [];
  for (const { set, grant } of demand) {
    if (grant === 0) continue;
    const row: ReservationRow = {
      id: newId(now),
      workspace_id: workspaceId,
      provisioner_id: provisioner.id,
      label_set_id: set.id,
      labels: JSON.stringify(set.labels),
      capabilities: JSON.stringify(set.capabilities),
      count: grant,
      expires_at: now + round.reservationMs,
    };
    await insertReservation(tx, row);
    granted.push(row);
  }
  await giveUp(tx, dispatch, provisioner.id, now);
  const abilities = round.templates.map(abilityOf);
  const isMatched = ({ set }: Demand) => abilities.some((ability) => satisfies(ability, set));
  return {
    stats: demand.filter(isMatched).map(present),
    unmatched: demand
      .filter((one) => !isMatched(one))
      .slice(0, MAX_UNMATCHED)
      .map(present),
    reservations: granted.map(presentReservation),
    terminate: (await toTerminate(tx, provisioner.id)).map(({ id, provider_runner_id, terminate_reason: reason }) => {
      return { runner_instance_id: id, provider_runner_id, reason };
    }),
  };
}

/** Takes out of service what has nothing more to do, and what has hung. */
async function giveUp(tx: WriteTx, dispatch: Dispatch, provisionerId: string, now: number): Promise<void> {
  for (const { id, reason } of await leftOver(tx, provisionerId, now - EXIT_GRACE_MS))
    await markForTermination(tx, id, reason);
  for (const { id, session_id: sessionId } of await silentInstances(tx, provisionerId, now - SILENT_MS)) {
    // Presence is written in bulk: memory knows more.
    const session = dispatch.sessions.get(sessionId);
    if (session && isOnline(session, now)) continue;
    if (await endUnusedSession(tx, dispatch, sessionId, "silent", now))
      await markForTermination(tx, id, "session_ended");
  }
}

/** Runners of other origin that wait; those in instances are counted as instances. */
function idleRunners(
  dispatch: Dispatch,
  workspaceId: string,
  instances: readonly OpenInstance[],
  now: number,
): Supply[] {
  const provisioned = new Set(instances.map(({ session_id: id }) => id));
  return idleSessions(dispatch, workspaceId, now)
    .filter(({ id }) => !provisioned.has(id))
    .map(({ labels, capabilities, parkedClaims }) => ({ labels, capabilities, count: parkedClaims }));
}

function supplyOfReservation(row: ReservationRow): Supply {
  return { ...abilityOf(parsed(row)), count: row.count, forSet: row.label_set_id };
}

function supplyOfInstance(row: OpenInstance): Supply {
  const supply = { ...abilityOf(parsed(row)), count: 1 };
  return row.label_set_id === null ? supply : { ...supply, forSet: row.label_set_id };
}

/** What each template could start beside what the provisioner was told to start before and has not started yet. */
function freeSlots(templates: readonly AdvertisedTemplate[], own: readonly ReservationRow[]) {
  const slots = templates.map((template) => ({
    ...abilityOf(template),
    key: template.template_key,
    free: template.fault?.kind === "circuit_open" ? 0 : template.available_slots,
  }));
  for (const reservation of own) {
    let left = reservation.count;
    for (const slot of slots) {
      if (!satisfies(slot, parsed(reservation))) continue;
      const taken = Math.min(left, slot.free);
      slot.free -= taken;
      left -= taken;
    }
  }
  return slots;
}

function present({ set, covered }: Demand): DemandReply["stats"][number] {
  return { labels: [...set.labels], capabilities: [...set.capabilities], queued: set.queued, covered };
}

function presentReservation(row: ReservationRow): DemandReply["reservations"][number] {
  return {
    reservation_id: row.id,
    ...parsed(row),
    count: row.count,
    expires_at: new Date(row.expires_at).toISOString(),
  };
}
