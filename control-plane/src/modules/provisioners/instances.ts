import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import type { InstanceState, ReportedState } from "@shipfox/shared/provisioner";
import { hashToken, newToken, tokenPrefix } from "@shipfox/shared/tokens";
import type { ProvisionerTokenRow, RunnerInstanceRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import { type Dispatch, endUnusedSession } from "../dispatch/public.ts";
import {
  changeInstance,
  findInstance,
  hasOpenLease,
  insertInstance,
  lockInstance,
  markForTermination,
  openInstances,
} from "./instance-store.ts";
import { decideReport, hasEnded } from "./model.ts";
import { findPool, templatesOf } from "./pool-store.ts";
import { useReservation } from "./reservation-store.ts";

/** An instance that was reported within this time and is not in the provider's list may only be new there. */
const ABSENT_GRACE_MS = 120_000;
/** An instance nobody reported has not been created: the reply that told of it was lost. */
const PLANNED_GRACE_MS = 60_000;

export interface PlannedInstance {
  readonly id: string;
  readonly token: string;
  readonly expiresAt: number;
  readonly index: number;
}

/** An id and a token for each instance asked for, made before the unit. */
export function freshInstances(count: number, now: number): { id: string; token: string }[] {
  return Array.from({ length: count }, () => ({ id: newId(now), token: newToken("ert") }));
}

/**
 * Records instances before their machines are created, as far as their reservations last. Throws 409
 * `template-not-advertised`.
 */
export async function planInstances(
  tx: WriteTx,
  provisioner: ProvisionerTokenRow,
  request: {
    readonly providerKind: string | null;
    readonly bootMs: number;
    readonly instances: readonly { template_key: string; reservation_id?: string | undefined }[];
    readonly fresh: readonly { id: string; token: string }[];
  },
  now: number,
): Promise<{ planned: PlannedInstance[]; refused: boolean }> {
  const pool = await findPool(tx, provisioner.id);
  const templates = new Map((pool ? templatesOf(pool) : []).map((template) => [template.template_key, template]));
  const planned: PlannedInstance[] = [];
  const expiresAt = now + request.bootMs;
  for (const [index, asked] of request.instances.entries()) {
    const template = templates.get(asked.template_key);
    if (!template)
      throw new ApiError(
        "template-not-advertised",
        `the template ${asked.template_key} was not in the last demand poll; poll with it first`,
      );
    const reservation =
      asked.reservation_id === undefined ? null : await useReservation(tx, asked.reservation_id, provisioner.id, now);
    if (reservation === undefined) continue;
    const { id, token } = request.fresh[index] as { id: string; token: string };
    await insertInstance(tx, {
      id,
      workspace_id: provisioner.workspace_id,
      provisioner_id: provisioner.id,
      template_key: asked.template_key,
      provider_kind: request.providerKind,
      labels: JSON.stringify(template.labels),
      capabilities: JSON.stringify(template.capabilities),
      label_set_id: reservation?.label_set_id ?? null,
      token_hash: hashToken(token),
      token_prefix: tokenPrefix(token),
      due_at: expiresAt,
      created_at: now,
    });
    planned.push({ id, token, expiresAt, index });
  }
  return { planned, refused: planned.length < request.instances.length };
}

export interface InstanceReport {
  readonly runner_instance_id: string;
  readonly provider_runner_id?: string | undefined;
  readonly state: ReportedState;
  readonly reason?: string | undefined;
  readonly console_tail?: string | undefined;
}

/** What the provider says of instances. Safe to repeat, in any order. */
export async function reportInstances(
  tx: WriteTx,
  deps: { dispatch: Dispatch; forUpdate: string },
  provisioner: ProvisionerTokenRow,
  reports: readonly InstanceReport[],
  now: number,
): Promise<{ accepted: number; unknown: string[] }> {
  const unknown = new Set<string>();
  let accepted = 0;
  for (const report of reports) {
    const instance = await lockInstance(tx, deps.forUpdate, report.runner_instance_id);
    if (instance?.provisioner_id !== provisioner.id) {
      unknown.add(report.runner_instance_id);
      continue;
    }
    const before = instance.state as InstanceState;
    const state = decideReport(before, report.state);
    await changeInstance(
      tx,
      instance,
      {
        state,
        reason: report.reason ?? null,
        providerRunnerId: report.provider_runner_id ?? null,
        consoleTail: report.console_tail ?? null,
      },
      now,
    );
    if (state === before) continue;
    accepted += 1;
    if (hasEnded(state)) await endSessionOf(tx, deps.dispatch, instance, now);
  }
  return { accepted, unknown: [...unknown] };
}

/** A machine that is gone claims nothing; a job that it had is given back when its lease ends. */
async function endSessionOf(tx: WriteTx, dispatch: Dispatch, instance: RunnerInstanceRow, now: number): Promise<void> {
  if (instance.session_id !== null) await endUnusedSession(tx, dispatch, instance.session_id, "instance_ended", now);
}

/**
 * Ends the records of instances that the provider does not have. An empty list ends nothing unless it was confirmed: a
 * provider that answers with nothing is broken more often than it is empty. Nor does any list end one that has a job: when its
 * machine is gone its lease ends first.
 */
export async function endAbsent(
  tx: WriteTx,
  dispatch: Dispatch,
  provisioner: ProvisionerTokenRow,
  seen: { readonly observed: ReadonlySet<string>; readonly confirmedEmpty: boolean },
  now: number,
): Promise<string[]> {
  if (seen.observed.size === 0 && !seen.confirmedEmpty) return [];
  const ended: string[] = [];
  for (const instance of await openInstances(tx, provisioner.id)) {
    if (seen.observed.has(instance.id)) continue;
    const planned = instance.reported_at === null;
    const since = instance.reported_at ?? instance.created_at;
    if (since > now - (planned ? PLANNED_GRACE_MS : ABSENT_GRACE_MS)) continue;
    // First the session: whoever claims a job at this moment has it before or not at all.
    await endSessionOf(tx, dispatch, instance, now);
    if (instance.session_id !== null && (await hasOpenLease(tx, instance.session_id))) continue;
    const reason = planned ? "the reply that told of it was lost" : "the provider has no such machine";
    await changeInstance(tx, instance, { state: "terminated", reason, providerRunnerId: null, consoleTail: null }, now);
    ended.push(instance.id);
  }
  return ended;
}

export type DrainVerdict = "drained" | "busy" | "unknown";

/**
 * Takes an instance out of service unless it has been given a job: in one transaction with the claim, one of the two wins.
 * Safe to repeat.
 */
export async function drainInstance(
  tx: WriteTx,
  deps: { dispatch: Dispatch; forUpdate: string },
  instance: RunnerInstanceRow,
  reason: "drained" | "terminated_by_user",
  now: number,
): Promise<"drained" | "busy"> {
  const locked = (await lockInstance(tx, deps.forUpdate, instance.id)) ?? instance;
  if (locked.ended_at !== null || locked.terminate_reason !== null) return "drained";
  if (locked.session_id !== null && !(await endUnusedSession(tx, deps.dispatch, locked.session_id, "drained", now))) {
    const session = await tx.get<{ ended_at: number | null }>("select ended_at from runner_sessions where id = ?", [
      locked.session_id,
    ]);
    if (session?.ended_at === null) return "busy";
  }
  await markForTermination(tx, locked.id, reason);
  return "drained";
}

export async function drainInstances(
  tx: WriteTx,
  deps: { dispatch: Dispatch; forUpdate: string },
  provisioner: ProvisionerTokenRow,
  instanceIds: readonly string[],
  now: number,
): Promise<Record<DrainVerdict, string[]>> {
  const verdicts: Record<DrainVerdict, string[]> = { drained: [], busy: [], unknown: [] };
  for (const id of new Set(instanceIds)) {
    const instance = await findInstance(tx, id);
    const verdict =
      instance?.provisioner_id === provisioner.id ? await drainInstance(tx, deps, instance, "drained", now) : "unknown";
    verdicts[verdict].push(id);
  }
  return verdicts;
}
