import { beforeAll, describe, expect, it } from "vitest";
import { attack } from "../src/attack.ts";
import { call, type CallOptions } from "../src/api.ts";
import { ControlPlane, DEFAULT_TIMES } from "../src/control-plane.ts";
import { Instance, type ProjectHandle, workflow } from "../src/instance.ts";
import { claimByHand, registerByHand } from "../src/machine.ts";
import { useStage } from "../src/stage.ts";

const TWO_STEPS = "    checkout: false\n    steps:\n      - run: 'true'\n      - run: 'true'\n";

describe("a runner that is not the job's", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage, { times: DEFAULT_TIMES });
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "job.yml": workflow("Job", `  job:\n${TWO_STEPS}`) });
  });

  /** A runner that holds a job whose first step is running. */
  async function holder() {
    const registrationToken = await instance.registrationToken();
    const registered = await registerByHand(plane.url, registrationToken, ["linux"]);
    const runId = await instance.fire(project, "Job");
    const claim = await claimByHand(plane.url, registered.session_token);
    expect(claim.workflow_run_id).toBe(runId);
    const next = await call(plane.url, "POST", "/runs/jobs/current/steps/next", { token: claim.lease_token });
    const { step, lease_token } = next.body as { step: { id: string }; lease_token: string };
    const session = registered.session_token;
    const credential = registered.runner_token ?? "";
    return { runId, jobId: claim.job_id, stepId: step.id, lease: lease_token, session, credential, registrationToken };
  }

  const log = Buffer.from('{"v":1,"ts":1,"type":"output","stream":"stdout","data":"forged\\n"}\n');
  /** Every endpoint that names a job, a step or a session, with what would do harm there. */
  function endpoints(jobId: string, stepId: string): [method: string, path: string, body?: unknown][] {
    const current = "/runs/jobs/current";
    const error = { message: "forged" };
    return [
      ["POST", `/runners/jobs/${jobId}/heartbeat`],
      ["POST", `/runners/jobs/${jobId}/release`, { reason: "draining" }],
      ["POST", `${current}/steps/${stepId}/report`, { status: "failed", log_outcome: "drained", attempt: 1, error }],
      ["POST", `${current}/steps/${stepId}/checkout-token?attempt=1`],
      ["GET", `${current}/steps/${stepId}/secrets?attempt=1`],
      ["POST", `${current}/steps/${stepId}/logs?attempt=1&offset=0`, log],
      ["GET", `${current}/agent-runtime-config?step_id=${stepId}&attempt=1`],
      [
        "POST",
        `${current}/annotations`,
        { step_id: stepId, attempt: 1, annotations: [{ context: "x", body: "forged" }] },
      ],
    ];
  }

  function sent(token: string, body: unknown): CallOptions {
    if (!Buffer.isBuffer(body)) return { token, body };
    return { token, body, headers: { "content-type": "application/x-ndjson" } };
  }

  it(`${attack(3, "with its own and with made up credentials, and with ids that it stole")}`, async () => {
    const mine = await holder();
    const other = await holder();
    const before = await instance.run(mine.runId);
    const [head, , signature] = mine.lease.split(".");
    const [, claims] = other.lease.split(".");
    const tokens: Record<string, string> = {
      lease: other.lease,
      session: other.session,
      credential: other.credential,
      registration: other.registrationToken,
      "the job's claims under a foreign signature": `${head}.${claims}.${signature}`,
      "an unsigned lease": `${Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url")}.${mine.lease.split(".")[1]}.`,
      "the user's own": instance.api.token ?? "",
      nothing: "",
    };
    for (const [name, token] of Object.entries(tokens)) {
      for (const [method, path, body] of endpoints(mine.jobId, mine.stepId)) {
        const answer = await call(plane.url, method, path, sent(token, body));
        expect([name, path, answer.status]).toEqual([name, path, name === "lease" ? 404 : 401]);
        expect(answer.text).not.toContain(mine.lease);
      }
    }
    expect(await instance.run(mine.runId)).toEqual(before);
    // The other way round nothing was spoiled: the holder goes on.
    const token = mine.lease;
    for (const [method, path, body] of endpoints(mine.jobId, mine.stepId)) {
      if (!/heartbeat|logs/.test(path)) continue;
      const answer = await call(plane.url, method, path, sent(token, body));
      expect([path, answer.status]).toEqual([path, 200]);
    }
  });

  it(`${attack(3, "a job that it lost, and one that is over")}`, async () => {
    const { runId, jobId, stepId, lease, session } = await holder();
    const released = await call(plane.url, "POST", `/runners/jobs/${jobId}/release`, {
      token: lease,
      body: { reason: "draining" },
    });
    expect(released.status).toBeLessThan(300);
    const before = await instance.run(runId);
    for (const [method, path, body] of endpoints(jobId, stepId)) {
      for (const token of [lease, session]) {
        const answer = await call(plane.url, method, path, sent(token, body));
        // For a moment what an ended execution still has to say is added to that execution alone; a release may be repeated.
        if (/logs|annotations|release/.test(path) && token === lease) continue;
        expect([path, answer.status >= 400]).toEqual([path, true]);
      }
    }
    expect((await instance.run(runId)).jobs[0]?.status).toBe(before.jobs[0]?.status);
  });
});
