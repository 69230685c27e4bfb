import { expect, it } from "vitest";
import type { AuditEventRow } from "../../store/schema.ts";
import { describeStores } from "../../store/testing.ts";
import { ServedPlane, SUCCEEDED } from "./served-plane.fixture.ts";

const YAML = `name: secrets
jobs:
  build:
    runner: linux
    steps:
      - run: deploy
        env: { TOKEN: "\${{ secrets.TOKEN }}", BOTH: "\${{ secrets.USER }}:\${{ secrets.TOKEN }}" }
      - run: "true"
`;

describeStores("the secrets of a step", (open) => {
  it("leave with an entry in the audit log that names the job, the step and the keys, and no value", async () => {
    const store = await open();
    const plane = await ServedPlane.start(store);
    const { runId, job } = await plane.runningJob(YAML);
    const read = async (stepId: string, token: string) =>
      plane.call("GET", `/runs/jobs/current/steps/${stepId}/secrets?attempt=1`, { token });
    const setup = await plane.startedStep(job.lease_token);
    expect(await read(setup.id, setup.lease_token)).toMatchObject({ status: 409 });
    await plane.report(setup.id, setup.lease_token, SUCCEEDED);
    const step = await plane.startedStep(job.lease_token);
    const answer = await read(step.id, step.lease_token);
    expect(answer.body.secrets.map(({ key }: { key: string }) => key).sort()).toEqual(["TOKEN", "USER"]);

    const log = await store.read((tx) => tx.all<AuditEventRow>("select * from audit_events"));
    const [{ runner_id: runnerId }] = (await store.read((tx) => tx.all("select runner_id from leases"))) as [
      { runner_id: string },
    ];
    expect(log).toMatchObject([
      {
        workspace_id: plane.inside.workspaceId,
        actor_type: "runner",
        actor_user_id: null,
        action: "secret.read",
        outcome: "done",
        target_type: "step",
        target_id: step.id,
      },
    ]);
    const details = JSON.parse(log[0]?.details ?? "{}");
    expect({ ...details, keys: new Set(details.keys) }).toEqual({
      keys: new Set(["TOKEN", "USER"]),
      attempt: 1,
      runner_id: runnerId,
      workflow_run_id: runId,
      job_id: job.job_id,
      job_execution_id: job.job_execution_id,
      project_id: plane.inside.projectId,
    });
    expect(JSON.stringify(log)).not.toContain("value of");

    await plane.report(step.id, step.lease_token, SUCCEEDED);
    const last = await plane.startedStep(job.lease_token);
    expect((await read(last.id, last.lease_token)).body).toEqual({ secrets: [] });
    expect(await read(step.id, step.lease_token)).toMatchObject({ status: 409 });
    expect(await store.read((tx) => tx.all("select id from audit_events"))).toHaveLength(1);
  });

  it("stay here when a stranger may have made what the run runs, unless its project trusts that", async () => {
    const store = await open();
    const plane = await ServedPlane.start(store);
    const { job } = await plane.runningJob(YAML, { untrusted: true });
    const setup = await plane.startedStep(job.lease_token);
    await plane.report(setup.id, setup.lease_token, SUCCEEDED);
    const step = await plane.startedStep(job.lease_token);
    const read = () =>
      plane.call("GET", `/runs/jobs/current/steps/${step.id}/secrets?attempt=1`, { token: step.lease_token });
    const refused = await read();
    expect(refused).toMatchObject({ status: 403, body: { code: "secret-withheld", details: { key: "TOKEN" } } });
    expect(JSON.stringify(refused.body)).not.toContain("value of");
    expect(await store.read((tx) => tx.all("select id from audit_events where action = 'secret.read'"))).toEqual([]);

    await store.write((tx) => tx.run("update projects set untrusted_secrets = 1"));
    expect((await read()).body.secrets).toHaveLength(2);
    // Taken back, it counts for the next that asks.
    await store.write((tx) => tx.run("update projects set untrusted_secrets = 0"));
    expect((await read()).status).toBe(403);

    await plane.report(step.id, step.lease_token, SUCCEEDED);
    const last = await plane.startedStep(job.lease_token);
    const answer = await plane.call("GET", `/runs/jobs/current/steps/${last.id}/secrets?attempt=1`, {
      token: last.lease_token,
    });
    expect(answer).toMatchObject({ status: 200, body: { secrets: [] } });
  });
});
