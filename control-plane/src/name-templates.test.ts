import type { Waiting } from "@shipfox/shared/api/runs";
import { expect, it } from "vitest";
import { describeMissing, nameTemplates } from "./name-templates.ts";
import { jobsOf, Provisioning, template } from "./provisioning.fixture.ts";
import { systemClock } from "./store/clock.ts";
import { describeStores } from "./store/testing.ts";

const offer = (key: string, ...labels: string[]) => ({ template_key: key, labels, capabilities: [] });

it.each([
  [
    [offer("win", "windows"), offer("small", "linux"), offer("arm", "arm64"), offer("big", "linux", "large")],
    "neither an online runner nor a template of the provisioners gives gpu, linux; there are big (without gpu), small (without gpu), arm (without gpu, linux) and 1 more",
  ],
  [
    [offer("small", "linux")],
    "neither an online runner nor a template of the provisioners gives gpu, linux; there is small (without gpu)",
  ],
  [
    [],
    "no online runner gives gpu, linux, and no provisioner offers a template now: those that are there drain, or have none",
  ],
])("names the nearest templates first, and what they lack", (templates, message) => {
  expect(describeMissing({ labels: ["gpu", "linux"], capabilities: [] }, templates)).toBe(message);
});

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
      const port = nameTemplates({ explainIn: () => async () => waiting }, systemClock);
      const { workspaceId, projectId } = inside;
      const entry = { workspaceId, projectId, labels: ["gpu"], capabilities: [], since: 0 };
      return (await inside.store.read((tx) => port.explainIn(tx)(entry))).message;
    };
    await provisioning.poll([template(1)]);
    expect(await explained("no_template")).toContain("there is small (without gpu)");
    expect(await explained("template_at_cap")).toBe("because");
    await provisioning.poll([]);
    expect(await explained("no_template")).toContain("no provisioner offers a template now");
  });
});
