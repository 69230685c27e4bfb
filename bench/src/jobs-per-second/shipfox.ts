import { randomUUID } from "node:crypto";
import {
  type ClaimReply,
  IDEMPOTENCY_KEY_HEADER,
  MAX_CLAIM_WAIT_SECONDS,
  type NextStepReply,
  type RegisterReply,
  type ReportBody,
  type ReportReply,
} from "@shipfox/shared/machine";
import { createDefinition, createRegistrationToken, startControlPlane } from "../control-plane.ts";
import { JsonClient } from "../json-client.ts";
import type { Contender, Load, Round } from "./round.ts";

const LABEL = "bench";
const WORKFLOW = `name: No operation
runner: ${LABEL}
triggers:
  by_hand: { source: manual, event: fire }
jobs:
  only:
    checkout: false
    steps:
      - run: "true"
`;
const CLAIM = `/runners/jobs/request?wait_seconds=${MAX_CLAIM_WAIT_SECONDS}&next=true`;
const SUCCEEDED: ReportBody = { status: "succeeded", log_outcome: "drained", exit_code: 0, next: true };

/** Four requests a job: fire, claim with the first step, and a report with the next step for each of setup and run. */
export async function startShipfox(folder: string, load: Load, resources: AsyncDisposableStack): Promise<Contender> {
  const plane = await startControlPlane(folder, resources);
  const client = resources.adopt(new JsonClient(plane.url, load.runners + load.producers), (open) => open.close());
  const definitionId = await createDefinition(client, plane, WORKFLOW);
  const registrationToken = await createRegistrationToken(client, plane);
  const register = () =>
    client.call<RegisterReply>("POST", "/runners/register", { token: registrationToken, body: { labels: [LABEL] } });
  const sessions = await Promise.all(Array.from({ length: load.runners }, register));
  return {
    name: "Shipfox",
    pid: plane.process.pid,
    enqueue: async () => {
      await client.call("POST", `/workflow-definitions/${definitionId}/fire-manual`, { token: plane.token, body: {} });
    },
    work: async (index, round) => {
      const session = sessions[index];
      if (!session) throw new RangeError(`there is no runner ${index}`);
      await workAs(client, session.session_token, round);
    },
  };
}

async function workAs(client: JsonClient, sessionToken: string, round: Round): Promise<void> {
  while (!round.over.aborted) {
    const claim = await claimOne(client, sessionToken, round);
    // 204: the long poll ran out.
    if (claim === undefined) continue;
    if (claim === null) return;
    round.claimed();
    await runSteps(client, claim.next);
    round.finished();
  }
}

/** Null when the round ended while it waited. */
async function claimOne(client: JsonClient, token: string, round: Round): Promise<ClaimReply | undefined | null> {
  const headers = { [IDEMPOTENCY_KEY_HEADER]: randomUUID() };
  try {
    return await client.call<ClaimReply | undefined>("POST", CLAIM, { token, headers, signal: round.over });
  } catch (error) {
    if (round.over.aborted) return null;
    throw error;
  }
}

async function runSteps(client: JsonClient, first: NextStepReply | undefined): Promise<void> {
  let next = first;
  while (next?.kind === "step") {
    const path = `/runs/jobs/current/steps/${next.step.id}/report`;
    const body: ReportBody = { ...SUCCEEDED, attempt: next.attempt };
    const reply: ReportReply = await client.call("POST", path, { token: next.lease_token, body });
    next = reply.next;
  }
  if (next?.status !== "succeeded") throw new Error(`a no-op job ended as ${next?.status ?? "unknown"}`);
}
