import { describe, expect, it } from "vitest";
import { type OutputEvent, planOutput } from "./plan-output.ts";
import { attempt, execution, job, jobInState, jobSeed, run, step } from "./testing/fixtures.ts";

/** One short line for each event, to read a plan at a glance. */
function outline(events: readonly OutputEvent[]): string[] {
  return events.map((event) => {
    if (event.type === "run") return `run ${event.status}`;
    if (event.type === "job") return `job ${event.job} ${event.waiting ?? event.status}`;
    if (event.type === "execution") return `execution ${event.sequence} ${event.status}`;
    return event.type === "log"
      ? `log ${event.step}/${event.attempt}`
      : `step ${event.step}/${event.attempt} ${event.status}`;
  });
}

const waiting = (reason: "needs" | "all_runners_busy", message: string) => ({
  reason,
  since: "2026-07-06T10:00:00.000Z",
  message,
  labels: ["linux"],
  runners: { matching: 1, online: 1, busy: 1 },
});

describe("planOutput", () => {
  it("shows nothing when nothing changed", () => {
    const seed = jobSeed();
    const now = run("running", [jobInState(seed, "running")]);
    expect(planOutput(now, now)).toEqual([]);
  });

  it("tells a whole run in order although it was only seen at its end", () => {
    expect(outline(planOutput(null, run("succeeded", [jobInState(jobSeed(), "succeeded")])))).toEqual([
      "execution 1 running",
      "step Test/1 running",
      "log Test/1",
      "step Test/1 succeeded",
      "execution 1 succeeded",
      "job build succeeded",
      "run succeeded",
    ]);
  });

  it("shows only what is new, and each log once", () => {
    const seed = jobSeed();
    const before = run("running", [jobInState(seed, "running")]);
    expect(outline(planOutput(null, before))).toEqual([
      "run running",
      "execution 1 running",
      "step Test/1 running",
      "log Test/1",
    ]);
    expect(outline(planOutput(before, run("failed", [jobInState(seed, "failed")])))).toEqual([
      "step Test/1 failed",
      "execution 1 failed",
      "job build failed",
      "run failed",
    ]);
  });

  it("tells of a job that was skipped in one event, not of each step that it would have had", () => {
    const steps = [step({ status: "skipped", status_reason: "default_gate_rejected" })];
    const never = execution({ status: "cancelled", status_reason: "default_gate_rejected", started_at: null, steps });
    const skipped = job({ status: "skipped", status_reason: "default_gate_rejected", job_executions: [never] });
    expect(outline(planOutput(null, run("running", [skipped])))).toEqual(["run running", "job build skipped"]);
  });

  it("says why a job waits, once per reason", () => {
    const id = jobSeed().job;
    const needs = run("running", [job({ id, waiting: waiting("needs", "waits for test") })]);
    const busy = run("running", [job({ id, waiting: waiting("all_runners_busy", "1 runner is busy") })]);
    const stillBusy = run("running", [job({ id, waiting: waiting("all_runners_busy", "2 runners are busy") })]);
    expect(outline(planOutput(needs, busy))).toEqual(["job build 1 runner is busy"]);
    expect(outline(planOutput(busy, stillBusy))).toEqual([]);
  });

  it("shows a lost execution and the one that follows it, in lanes of their own", () => {
    const seed = jobSeed();
    const before = run("running", [jobInState(seed, "running")]);
    const running = jobInState(seed, "running");
    const first = running.job_executions[0];
    if (!first) throw new Error("the fixture has an execution");
    const lost = { ...first, status: "failed" as const, status_reason: "runner_lost" };
    const again = execution({
      sequence: 2,
      retry_of: first.id,
      steps: [step({ status: "running", attempts: [attempt()] })],
    });
    const events = planOutput(before, run("running", [{ ...running, job_executions: [lost, again] }]));
    expect(outline(events)).toEqual(["execution 1 failed", "execution 2 running", "step Test/1 running", "log Test/1"]);
    expect(new Set(events.map((event) => (event.type === "run" ? "" : event.lane))).size).toBe(2);
    expect(events[0]).toMatchObject({ reason: "runner_lost" });
  });

  it("shows restarted steps in the order in which they ran, and steps that never ran", () => {
    const steps = [
      step({
        name: "Build",
        status: "succeeded",
        current_attempt: 2,
        attempts: [
          attempt({ status: "succeeded", execution_order: 1 }),
          attempt({ status: "succeeded", attempt: 2, execution_order: 3 }),
        ],
      }),
      step({
        name: "Check",
        position: 1,
        status: "failed",
        attempts: [attempt({ status: "failed", execution_order: 2 })],
      }),
      step({ name: "Ship", position: 2, status: "skipped", status_reason: "default_gate_rejected" }),
    ];
    const events = planOutput(null, run("running", [job({ job_executions: [execution({ steps })] })]));
    expect(outline(events).filter((line) => line.startsWith("log"))).toEqual([
      "log Build/1",
      "log Check/1",
      "log Build/2",
    ]);
    expect(outline(events).at(-1)).toBe("step Ship/1 skipped");
  });
});
