import type { Waiting } from "@shipfox/shared/api/runs";
import { expect, it } from "vitest";
import { explainWithProvisioners } from "./modules/provisioners/public.ts";
import { jobsOf, Provisioning, template } from "./provisioning.fixture.ts";
import { systemClock } from "./store/clock.ts";
import { describeStores } from "./store/testing.ts";

describeStores("why a job waits for which no template is", (open) => {
  it("is told by the templates that its workspace's provisioners offer now", async () => {
    const provisioning = await Provisioning.start(await open());
    const { inside } = provisioning.plane;
    await inside.fire(jobsOf("gpu", "a"));
    const explained = async (reason: Waiting["reason"]) => {
      const waiting = {
        reason,
        message: "because",
        since: "",
        labels: [],
        runners: { matching: 0, online: 0, busy: 0 },
      };
      const port = explainWithProvisioners({ explainIn: () => async () => waiting }, systemClock);
      const { workspaceId, projectId } = inside;
      const entry = { workspaceId, projectId, labels: ["gpu"], capabilities: [], since: 0 };
      return (await inside.store.read((tx) => port.explainIn(tx)(entry))).message;
    };
    await provisioning.poll([template(1)]);
    expect(await explained("no_runner_online")).toContain("there is small (without gpu)");
    expect(await explained("all_runners_busy")).toBe("because");
    await provisioning.poll([]);
    expect(await explained("no_runner_online")).toContain("no provisioner offers a template now");
  });
});
