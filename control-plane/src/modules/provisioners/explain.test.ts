import type { Waiting } from "@shipfox/shared/api/runs";
import type { AdvertisedTemplate } from "@shipfox/shared/provisioner";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../store/clock.ts";
import type { Tx } from "../../store/store.ts";
import { describeMissing, explainProvisioned, explainWithProvisioners } from "./explain.ts";

const waiting: Waiting = {
  reason: "no_runner_online",
  since: "2026-01-01T00:00:00.000Z",
  message: "no runner of the workspace is online; start one, or look at its log",
  labels: ["linux"],
  runners: { matching: 0, online: 0, busy: 0 },
};
const entry = { labels: ["linux"], capabilities: [] };
const template = (more: Partial<AdvertisedTemplate> = {}): AdvertisedTemplate => ({
  template_key: "small",
  labels: ["linux"],
  capabilities: [],
  available_slots: 1,
  starting: 0,
  running: 0,
  ...more,
});
const instance = { labels: '["linux"]', capabilities: "[]", template_key: "small" };
const fault = (kind: "provider_error" | "circuit_open", at?: string) => ({
  fault: { kind, message: "quota exceeded", ...(at ? { next_try_at: at } : {}) },
});
const AT = "2026-01-01T00:01:00.000Z";

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

describe("why a job waits where provisioners start runners", () => {
  it.each<[string, AdvertisedTemplate[], (typeof instance)[], Partial<Waiting>]>([
    ["an instance starts", [template()], [instance], { reason: "starting" }],
    ["one is about to be started", [template()], [], { reason: "starting" }],
    ["no template gives the labels", [template({ labels: ["windows"] })], [], { reason: "no_template" }],
    ["all templates are full", [template({ available_slots: 0 })], [], { reason: "template_at_cap" }],
    [
      "the provider fails",
      [template(fault("provider_error", AT)), template(fault("circuit_open"))],
      [],
      { reason: "provider_error", next_try_at: AT, message: "the template small cannot start runners: quota exceeded" },
    ],
    ["the circuit is open", [template(fault("circuit_open", AT))], [], { reason: "circuit_open", next_try_at: AT }],
    [
      "one template works",
      [template(fault("circuit_open")), template({ template_key: "b" })],
      [],
      { reason: "starting" },
    ],
  ])("%s", (_title, templates, starting, expected) => {
    expect(explainProvisioned(waiting, entry, templates, starting)).toMatchObject(expected);
  });

  it("a matching runner is busy, and no template gives the labels", () => {
    const busy: Waiting = { ...waiting, reason: "all_runners_busy" };
    expect(explainProvisioned(busy, entry, [template({ labels: ["windows"] })], [])).toEqual(busy);
  });

  it("asks for the provisioners of a workspace once for all jobs of an answer", async () => {
    const asked: unknown[] = [];
    const tx = {
      all: async (_sql: string, [workspaceId]: readonly unknown[]) => {
        asked.push(workspaceId);
        return [];
      },
    } as unknown as Tx;
    const port = explainWithProvisioners({ explainIn: () => async () => waiting }, systemClock);
    const explain = port.explainIn(tx);
    for (const workspaceId of ["w1", "w1", "w2", "w1"])
      expect(await explain({ ...entry, workspaceId, projectId: "p", since: 0 })).toBe(waiting);
    expect(asked).toEqual(["w1", "w2"]);
    await port.explainIn(tx)({ ...entry, workspaceId: "w1", projectId: "p", since: 0 });
    expect(asked).toEqual(["w1", "w2", "w1"]);
  });
});
