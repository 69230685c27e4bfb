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
});
