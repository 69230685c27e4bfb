import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type ClaimReply,
  IDEMPOTENCY_KEY_HEADER,
  logAppendReplySchema,
  type NextStepReply,
  type RegisterReply,
  type ReportBody,
  type ReportReply,
} from "@shipfox/shared/machine";
import { type ControlPlane, createDefinition, createRegistrationToken, startControlPlane } from "../control-plane.ts";
import { JsonClient } from "../json-client.ts";
import { awaitReady, freePort, startProcess } from "../server-process.ts";
import { RawClient } from "../raw-client.ts";

const LABEL = "bench";
/** Jobs whose runner the benchmark plays. */
export function workflow(name: string, jobs: number, steps: number): string {
  const job = `checkout: false\n    steps:\n${'      - run: "true"\n'.repeat(steps)}`;
  const all = Array.from({ length: jobs }, (_, index) => `  job_${index}:\n    ${job}`).join("");
  return `name: ${name}\nrunner: ${LABEL}\ntriggers:\n  by_hand: { source: manual, event: fire }\njobs:\n${all}`;
}
/** The largest there is: the budget is not what is measured. */
const BUDGET_BYTES = String(64 * 1024 ** 3);
/** Nobody renews the leases. */
const LEASE_TERM_MS = String(60 * 60_000);
const CLAIM = "/runners/jobs/request?wait_seconds=10&next=true";
const DONE: ReportBody = { status: "succeeded", log_outcome: "drained", exit_code: 0, next: true };

const PEERS = {
  sink: "bare node:http sink",
  files: "bare node:http, durable files",
  blobs: "SQLite blobs, group commit",
};

/** One log that grows at its end. Settles when the server acknowledged the chunk. */
export type Append = (chunk: Buffer) => Promise<void>;

export interface Contender {
  readonly name: string;
  readonly pid: number;
  readonly logs: readonly Append[];
}

/** Real credentials: each log is that of a step that runs under a lease of its own. */
export async function startShipfox(
  folder: string,
  logs: number,
  resources: AsyncDisposableStack,
): Promise<Contender & { readonly plane: ControlPlane; readonly stepIds: readonly string[] }> {
  const plane = await startControlPlane(folder, resources, {
    settings: { SHIPFOX_LOG_BUDGET_BYTES: BUDGET_BYTES, SHIPFOX_LEASE_TERM_MS: LEASE_TERM_MS },
  });
  const client = resources.adopt(new JsonClient(plane.url, logs), (open) => open.close());
  const definitionId = await createDefinition(client, plane, workflow("Log", 1, 1));
  const registrationToken = await createRegistrationToken(client, plane);
  const stepIds: string[] = [];
  const openOne = async (): Promise<Append> => {
    await fire(client, plane, definitionId);
    const { next } = await reportDone(client, await claimJob(client, registrationToken));
    if (next?.kind !== "step") throw new Error("the job has no run step");
    stepIds.push(next.step.id);
    const connection = resources.adopt(await RawClient.open(plane.url), (open) => open.close());
    const path = `/runs/jobs/current/steps/${next.step.id}/logs?attempt=${next.attempt}&offset=`;
    let offset = 0;
    return async (chunk) => {
      const answer = await connection.post(`${path}${offset}`, next.lease_token, chunk);
      offset += chunk.length;
      const { committed_length, capped } = logAppendReplySchema.parse(JSON.parse(answer));
      if (capped || committed_length !== offset) throw new Error(`an append was not kept: ${answer}`);
    };
  };
  const opened: Append[] = [];
  while (opened.length < logs) opened.push(await openOne());
  return { name: "Shipfox", pid: plane.process.pid, logs: opened, plane, stepIds };
}

export type StartedStep = NextStepReply & { kind: "step" };

/** Fires the definition; answers the run's id. */
export async function fire(client: JsonClient, plane: ControlPlane, definitionId: string): Promise<string> {
  const path = `/workflow-definitions/${definitionId}/fire-manual`;
  const fired = await client.call<{ workflow_run_id: string }>("POST", path, { token: plane.token, body: {} });
  return fired.workflow_run_id;
}

/** Claims a job as a new runner would; answers its set-up step. */
export async function claimJob(client: JsonClient, registrationToken: string): Promise<StartedStep> {
  const session = await client.call<RegisterReply>("POST", "/runners/register", {
    token: registrationToken,
    body: { labels: [LABEL] },
  });
  const headers = { [IDEMPOTENCY_KEY_HEADER]: randomUUID() };
  const claim = await client.call<ClaimReply | undefined>("POST", CLAIM, { token: session.session_token, headers });
  const setup = claim?.next;
  if (setup?.kind !== "step") throw new Error("a claim came without its first step");
  return setup;
}

/** Reports a step as succeeded and asks for the next one. */
export function reportDone(client: JsonClient, { step, lease_token, attempt }: StartedStep): Promise<ReportReply> {
  return client.call<ReportReply>("POST", `/runs/jobs/current/steps/${step.id}/report`, {
    token: lease_token,
    body: { ...DONE, attempt },
  });
}

export async function startPeer(
  mode: keyof typeof PEERS,
  folder: string,
  logs: number,
  resources: AsyncDisposableStack,
): Promise<Contender> {
  const port = await freePort();
  const program = fileURLToPath(import.meta.resolve("./ingest-peer-server.ts"));
  const server = startProcess(
    {
      name: `the ${mode} server`,
      command: process.execPath,
      args: [program, mode, String(port), join(folder, `${mode}.data`)],
      logFile: join(folder, `${mode}.log`),
    },
    resources,
  );
  const url = `http://127.0.0.1:${port}`;
  await awaitReady(url, server);
  const openOne = async (index: number): Promise<Append> => {
    const connection = resources.adopt(await RawClient.open(url), (open) => open.close());
    return async (chunk) => void (await connection.post(`/logs/${index}?offset=0`, "a-bearer-token", chunk));
  };
  return {
    name: PEERS[mode],
    pid: server.pid,
    logs: await Promise.all(Array.from({ length: logs }, (_, index) => openOne(index))),
  };
}
