import { ApiError } from "@shipfox/shared/errors";
import { hashToken } from "@shipfox/shared/tokens";
import type { RunnerInstanceRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import type { InstancesPort } from "../runners/public.ts";
import { findByToken, tieRunner } from "./instance-store.ts";

type Registration = Parameters<InstancesPort["judge"]>[1];
type Enrolment = Awaited<ReturnType<InstancesPort["judge"]>>;

const STANDING = "select revoked_at from provisioner_tokens where id = ?";
const CLAIMS = "select claims_used from runner_sessions where id = ? and ended_at is null";

/** Lets the runners of instances in: see the port. */
export const instancesPort: InstancesPort = {
  judge: judgeEnrolment,
  registered: tieRunner,
  async describe(tx, token, now) {
    const instance = await findStanding(tx, token);
    if (instance.session_id !== null) throw used();
    requireWanted(instance, now);
    return { workspaceId: instance.workspace_id, expiresAt: instance.due_at ?? now };
  },
};

/** Throws 401 `unauthorized`, `provisioner-token-revoked`. */
async function findStanding(tx: Tx, token: string): Promise<RunnerInstanceRow> {
  const instance = await findByToken(tx, hashToken(token));
  if (!instance) throw new ApiError("unauthorized", "the registration token is not known here");
  const provisioner = await tx.get<{ revoked_at: number | null }>(STANDING, [instance.provisioner_id]);
  if (!provisioner || provisioner.revoked_at !== null)
    throw new ApiError("provisioner-token-revoked", "the provisioner that made the registration token was revoked");
  return instance;
}

function requireWanted(instance: RunnerInstanceRow, now: number): void {
  if (instance.ended_at !== null || instance.terminate_reason !== null || (instance.due_at ?? 0) <= now)
    throw new ApiError(
      "registration-token-expired",
      "the runner instance did not register in time, or is not wanted any more",
    );
}

function used(): ApiError {
  return new ApiError("registration-token-used", "the registration token of the runner instance was used before");
}

async function judgeEnrolment(tx: WriteTx, { token, labels, key }: Registration, now: number): Promise<Enrolment> {
  const instance = await findStanding(tx, token);
  if (instance.session_id !== null) return repeat(tx, instance, key);
  requireWanted(instance, now);
  const granted = JSON.parse(instance.labels) as string[];
  const foreign = (labels ?? []).filter((label) => !granted.includes(label));
  if (foreign.length > 0)
    throw new ApiError(
      "labels-not-granted",
      `the registration token gives ${granted.join(", ")}, not ${foreign.join(", ")}`,
      {
        details: { granted },
      },
    );
  return {
    kind: "new",
    instanceId: instance.id,
    workspaceId: instance.workspace_id,
    name: `${instance.template_key}-${instance.id.slice(-8)}`,
    labels: granted,
  };
}

/** The reply of the registration was lost: the same session, while it has had no job. */
async function repeat(tx: WriteTx, instance: RunnerInstanceRow, key: string | null): Promise<Enrolment> {
  const session = await tx.get<{ claims_used: number }>(CLAIMS, [instance.session_id]);
  if (key !== null && key === instance.register_key && session?.claims_used === 0)
    return {
      kind: "repeat",
      workspaceId: instance.workspace_id,
      runnerId: instance.runner_id ?? "",
      sessionId: instance.session_id ?? "",
      labels: JSON.parse(instance.labels) as string[],
    };
  return { kind: "reused", workspaceId: instance.workspace_id, instanceId: instance.id, error: used() };
}
