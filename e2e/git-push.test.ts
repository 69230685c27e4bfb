import { describe, expect, it } from "vitest";
import { call } from "./src/api.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { eventually } from "./src/eventually.ts";
import { Instance, jobOf, type ProjectHandle, runStep } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

const onPush = (name: string) => `name: ${name}
triggers:
  pushed: { source: this-machine, event: push, filter: "event.ref == 'refs/heads/main'" }
jobs:
  read: { runner: linux, steps: [{ run: cat README.md }] }
`;

describe("a push to a plain git host", () => {
  const stage = useStage();

  async function start(env: Record<string, string>) {
    const instance = await Instance.create(stage, await ControlPlane.start(stage, { env }));
    return { instance, project: await instance.project({ "first.yml": onPush("First") }) };
  }
  const runsOf = async (instance: Instance, project: ProjectHandle) =>
    (await instance.api.client.runs.list({ project_id: project.id, limit: 100 })).runs;

  it("is noticed by itself, and starts the workflows that came with it at its commit", async () => {
    const { instance, project } = await start({ SHIPFOX_GIT_POLL_INTERVAL_SECONDS: "1" });
    const runner = await instance.runner();
    const files = { ".shipfox/workflows/second.yml": onPush("Second"), "README.md": "pushed\n" };
    const commit = await eventually("a push after the first look starts runs", async () => {
      const pushed = await project.repository.commit(files);
      await eventually("the push is noticed", async () => (await runsOf(instance, project)).length > 0, {
        limitMs: 10_000,
      });
      return pushed;
    });
    await eventually("both workflows run", async () => (await runsOf(instance, project)).length === 2);
    for (const { id } of await runsOf(instance, project)) {
      const run = await instance.waitForRun(id);
      expect(run).toMatchObject({ status: "succeeded", trigger_provider: "git", trigger_reference: { commit } });
      expect(await instance.logText(runStep(jobOf(run, "read")).id)).toContain("pushed\n");
    }
    await runner.child.stop();
  });

  it("is noticed at once when the host calls the webhook, also across a crash", async () => {
    const { instance, project } = await start({});
    const path = `/webhooks/integrations/git/${instance.connectionId}`;
    const tell = () => call(instance.plane.url, "POST", path, { body: { whatever: "the host says" } });
    const made = async () => (await runsOf(instance, project)).length;
    await eventually("a push after the first look starts a run", async () => {
      await project.repository.commit({});
      expect((await tell()).status).toBe(204);
      return (await made()) > 0;
    });
    const before = await made();
    await project.repository.commit({});
    expect((await tell()).status).toBe(204);
    await instance.plane.kill9();
    await instance.plane.restart();
    await eventually("the last push starts a run", async () => (await made()) > before);
  });
});
