import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { call } from "../src/api.ts";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { HandProvisioner, type PlannedInstance } from "../src/hand-provisioner.ts";
import { Instance, type ProjectHandle, workflow } from "../src/instance.ts";
import { claimByHand, registerByHand } from "../src/machine.ts";
import { useStage } from "../src/stage.ts";

const JOB = workflow("Job", "  job:\n    checkout: false\n    steps:\n      - run: 'true'\n");

describe("the token of a machine that a provisioner started", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;
  let provisioner: HandProvisioner;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "job.yml": JOB });
    provisioner = await HandProvisioner.create(instance);
    await provisioner.demand();
  });

  const register = ({ registration_token: token }: PlannedInstance, labels: string[] = ["linux"], key?: string) =>
    call(plane.url, "POST", "/runners/register", {
      token,
      body: { labels },
      headers: key === undefined ? {} : { "idempotency-key": key },
    });

  it(`${attack(34, "a second time, also with the key of the first")}`, async () => {
    const planned = await provisioner.plan();
    const first = await registerByHand(plane.url, planned.registration_token, ["linux"]);
    expect(await register(planned)).toMatchObject({ status: 401, body: { code: "registration-token-used" } });
    const runId = await instance.fire(project, "Job");
    const claim = await claimByHand(plane.url, first.session_token);
    expect(claim.workflow_run_id).toBe(runId);
    expect(await register(planned, ["linux"], "guessed")).toMatchObject({ status: 401 });
    const { audit_events: entries } = await instance.api.client.audit.list({
      workspaceId: instance.workspaceId,
      outcome: "denied",
    });
    expect(JSON.stringify(entries)).toContain(planned.runner_instance_id);
    const beat = await call(plane.url, "POST", `/runners/jobs/${claim.job_id}/heartbeat`, { token: claim.lease_token });
    expect(beat.status).toBe(200);
  });

  it(`${attack(34, "with a label that its template has not")}`, async () => {
    const planned = await provisioner.plan();
    const refused = await register(planned, ["linux", "production"]);
    expect(refused).toMatchObject({ status: 403, body: { code: "labels-not-granted" } });
    expect((await register(planned)).status).toBe(200);
  });

  it(`${attack(34, "after the deadline, and after the machine was given up")}`, async () => {
    const late = await provisioner.plan(undefined, 1);
    const unwanted = await provisioner.plan();
    await provisioner.call("runner-instances/drain", { runner_instance_ids: [unwanted.runner_instance_id] });
    expect(await register(unwanted)).toMatchObject({ status: 401, body: { code: "registration-token-expired" } });
    await sleep(Math.max(0, Date.parse(late.expires_at) - Date.now()));
    expect(await register(late)).toMatchObject({ status: 401, body: { code: "registration-token-expired" } });
  });

  it(`${attack(34, "where another kind of token is asked for")}`, async () => {
    const { registration_token: token } = await provisioner.plan();
    for (const [method, path] of [
      ["GET", "/auth/me"],
      ["GET", "/provisioners/me"],
      ["POST", "/runners/jobs/request"],
      ["GET", `/workspaces/${instance.workspaceId}/runners`],
    ] as const)
      expect((await call(plane.url, method, path, { token })).status).toBe(401);
  });
});
