import type { Capabilities } from "@shipfox/shared/machine";
import { VERSION } from "@shipfox/shared/version";
import { UnreachableError } from "@shipfox/shared/call-error";
import { HttpCaller, refusal } from "@shipfox/shared/http-call";

/** As in the machine protocol, whose schemas would cost the guard more memory than all the rest of it. */
export const MAX_HEARTBEAT_WAIT_SECONDS = 8;
const RUNNER_VERSION_HEADER = "shipfox-runner-version";

export interface Heartbeat {
  jobId: string;
  token: string;
  capabilities: Capabilities;
  /** How long the plane may hold the call back until there is something to say. */
  waitSeconds: number;
  /** We know of the cancel: only `force` would be news. */
  isCancelling: boolean;
  /** How long the answer may take beyond that. */
  answerLimitMs: number;
  signal: AbortSignal;
}

export interface HeartbeatAnswer {
  token: string;
  cancel: boolean;
  force: boolean;
  drain: boolean;
}

/** Sends heartbeats to one control plane. Rejects with RefusedError or UnreachableError. */
export class HeartbeatCaller {
  readonly #http: HttpCaller;

  constructor(baseUrl: string, certificateAuthority: string | null) {
    this.#http = new HttpCaller(baseUrl, certificateAuthority);
  }

  async beat(heartbeat: Heartbeat): Promise<HeartbeatAnswer> {
    const query = [
      ...(heartbeat.waitSeconds > 0 ? [`wait_seconds=${heartbeat.waitSeconds}`] : []),
      ...(heartbeat.isCancelling ? ["cancelling=true"] : []),
    ];
    const answer = await this.#http.send({
      method: "POST",
      path: `runners/jobs/${heartbeat.jobId}/heartbeat${query.length > 0 ? `?${query.join("&")}` : ""}`,
      headers: {
        authorization: `Bearer ${heartbeat.token}`,
        accept: "application/json",
        "content-type": "application/json",
        [RUNNER_VERSION_HEADER]: VERSION,
      },
      body: Buffer.from(JSON.stringify({ capabilities: heartbeat.capabilities })),
      timeoutMs: heartbeat.waitSeconds * 1000 + heartbeat.answerLimitMs,
      signal: heartbeat.signal,
    });
    if (answer.status < 200 || answer.status > 299) throw refusal(answer);
    return readAnswer(answer.body);
  }
}

function readAnswer(body: Buffer): HeartbeatAnswer {
  let reply: Record<string, unknown> = {};
  try {
    reply = Object(JSON.parse(body.toString("utf8")));
  } catch {
    reply = {};
  }
  const { lease_token: token, cancel, force, drain } = reply;
  if (typeof token !== "string" || typeof cancel !== "boolean") {
    throw new UnreachableError("The answer to a heartbeat is not understood: it is not the control plane's.");
  }
  return { token, cancel, force: force === true, drain: drain === true };
}
