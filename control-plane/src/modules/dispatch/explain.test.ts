import { describe, expect, it } from "vitest";
import { explainQueued } from "./explain.ts";
import type { Session } from "./sessions.ts";

const entry = { workspaceId: "w", projectId: "p", labels: ["gpu", "linux"], capabilities: [] as string[], since: 0 };
const session = (
  labels: string[],
  facts: { capabilities?: string[]; parked?: number; fault?: string } = {},
): Session => ({
  id: "s",
  runnerId: "r",
  runnerName: "runner",
  workspaceId: "w",
  labels: new Set(labels),
  capabilities: new Set(facts.capabilities ?? []),
  satisfied: new Set(),
  lastSeenAt: 0,
  parkedClaims: facts.parked ?? 0,
  liveLeases: 0,
  fault: facts.fault === undefined ? null : { since: 0, reason: facts.fault },
});

describe("why a queued job waits", () => {
  it("no runner was ever registered", () => {
    expect(explainQueued(entry, [], 0)).toMatchObject({
      reason: "no_runner_registered",
      runners: { matching: 0, online: 0, busy: 0 },
    });
  });

  it("none is online", () => {
    expect(explainQueued(entry, [], 2)).toMatchObject({ reason: "no_runner_online" });
  });

  it("labels are missing, told for the nearest runner", () => {
    const waiting = explainQueued(entry, [session(["windows"]), session(["linux", "x64"])], 2);
    expect(waiting).toMatchObject({ reason: "labels_unmatched", missing_labels: ["gpu"] });
  });

  it("a capability is missing", () => {
    const needing = { ...entry, capabilities: ["image", "network"] };
    const waiting = explainQueued(needing, [session(["linux", "gpu"], { capabilities: ["image"] })], 1);
    expect(waiting).toMatchObject({
      reason: "capability_missing",
      message: expect.stringContaining("lacks the capability network (network: none)"),
    });
  });

  it("all matching runners are busy", () => {
    expect(explainQueued(entry, [session(["linux", "gpu"])], 1)).toMatchObject({
      reason: "all_runners_busy",
      runners: { matching: 1, busy: 1 },
    });
  });

  it("all matching runners are unhealthy, each fault named once", () => {
    const sick = (fault: string) => session(["linux", "gpu"], { fault });
    expect(explainQueued(entry, [sick("no Docker"), sick("no Docker"), sick("no disk")], 3)).toMatchObject({
      reason: "runners_unhealthy",
      message: "all runners that match are unhealthy: no Docker; no disk",
      runners: { matching: 3, busy: 0 },
    });
  });

  it("its turn comes next", () => {
    expect(explainQueued(entry, [session(["linux", "gpu"], { parked: 1 })], 1)).toMatchObject({ reason: "fair_share" });
  });
});
