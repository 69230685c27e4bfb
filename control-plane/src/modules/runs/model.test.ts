import fc from "fast-check";
import { infrastructureCauseSchema } from "@shipfox/shared/failure";
import { describe, expect, it } from "vitest";
import {
  decideFinish,
  decideJob,
  decideLast,
  decideNextStep,
  decideReady,
  decideReport,
  type ExecutionEnd,
  isTerminal,
  MAX_INFRASTRUCTURE_RETRIES,
  type StepState,
} from "./model.ts";
import { RunGraph } from "./run-graph.fixture.ts";

const step = (position: number, status: StepState["status"], currentAttempt = 1): StepState => ({
  id: `s${position}`,
  position,
  status,
  currentAttempt,
});

describe("the next step", () => {
  it("is the first pending one, in order of position", () => {
    expect(decideNextStep([step(2, "pending"), step(0, "succeeded"), step(1, "pending")])).toMatchObject({
      kind: "start",
      step: { id: "s1" },
    });
  });

  it("is the running one again when the reply was lost", () => {
    expect(decideNextStep([step(0, "succeeded"), step(1, "running"), step(2, "pending")])).toMatchObject({
      kind: "repeat",
      step: { id: "s1" },
    });
  });

  it("is none after a failure, and the rest is skipped", () => {
    expect(decideNextStep([step(0, "failed"), step(1, "pending"), step(2, "pending")])).toEqual({
      kind: "done",
      status: "failed",
      skipped: [step(1, "pending"), step(2, "pending")],
    });
  });

  it("is known to be the last by what comes after each way in which it may end", () => {
    const middle = [step(0, "succeeded"), step(1, "running"), step(2, "pending")];
    expect(decideLast(middle, step(1, "running"))).toEqual({ succeeded: false, failed: true });
    const end = [step(0, "succeeded"), step(1, "succeeded"), step(2, "pending")];
    expect(decideLast(end, step(2, "pending"))).toEqual({ succeeded: true, failed: true });
  });

  it("always brings an execution to an end, with every step settled exactly once", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }), (outcomes) => {
        const statuses = new Map<string, StepState["status"]>(
          outcomes.map((_, position) => [`s${position}`, "pending"]),
        );
        const steps = () => outcomes.map((_, position) => step(position, statuses.get(`s${position}`) ?? "pending"));
        const started: string[] = [];
        for (;;) {
          const next = decideNextStep(steps());
          if (next.kind === "done") {
            for (const skipped of next.skipped) statuses.set(skipped.id, "skipped");
            expect(next.status).toBe(outcomes.slice(0, started.length).includes(false) ? "failed" : "succeeded");
            break;
          }
          expect(next.kind).toBe("start");
          started.push(next.step.id);
          statuses.set(next.step.id, "running");
          expect(decideNextStep(steps())).toMatchObject({ kind: "repeat", step: { id: next.step.id } });
          statuses.set(next.step.id, outcomes[next.step.position] ? "succeeded" : "failed");
        }
        expect(new Set(started).size).toBe(started.length);
        expect([...statuses.values()].every(isTerminal)).toBe(true);
      }),
    );
  });
});

describe("a report", () => {
  it.each([
    ["of the running attempt finishes it", step(1, "running", 2), 2, "finish"],
    ["of an attempt that was never started is refused", step(1, "running", 2), 3, "ahead"],
    ["of an earlier attempt changes nothing", step(1, "running", 2), 1, "already-known"],
    ["that is repeated changes nothing", step(1, "succeeded"), 1, "already-known"],
    ["of a step that was not handed out is refused", step(1, "pending"), 1, "not-running"],
  ] as const)("%s", (_title, reported, attempt, verdict) => {
    expect(decideReport(reported, attempt)).toBe(verdict);
  });
});

describe("a job", () => {
  it("survives its bound of infrastructure faults with growing waits, then fails as runner_lost", () => {
    const delays: number[] = [];
    let retries = 0;
    for (;;) {
      const verdict = decideJob(
        { infrastructureRetries: retries, retries: 0, execution: 1 },
        { kind: "infrastructure", cause: "runner_lost", message: "gone" },
      );
      if (verdict.kind === "finish") {
        expect(verdict).toEqual({ kind: "finish", status: "failed", reason: "runner_lost" });
        break;
      }
      delays.push(verdict.delayMs);
      retries = verdict.infrastructureRetries;
    }
    expect(delays).toEqual([0, 5_000, 30_000, 30_000, 30_000]);
    expect(delays).toHaveLength(MAX_INFRASTRUCTURE_RETRIES);
  });

  it.each(["draining", "machine_going", "runner_restarted"] as const)(
    "that was handed back for %s is queued again at once and does not use up its retries",
    (cause) => {
      const end = { kind: "infrastructure", cause, message: "" } as const;
      const infrastructureRetries = MAX_INFRASTRUCTURE_RETRIES;
      expect(decideJob({ infrastructureRetries, retries: 0, execution: 1 }, end)).toEqual({
        kind: "retry",
        delayMs: 0,
        infrastructureRetries,
        retries: 0,
      });
    },
  );

  it("ends within its bounds whatever causes follow each other", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.constantFrom(...infrastructureCauseSchema.options)), (causes) => {
        let infrastructureRetries = 0;
        for (let execution = 1; execution < 100; execution += 1) {
          const cause = causes.next().value;
          const verdict = decideJob(
            { infrastructureRetries, retries: 0, execution },
            { kind: "infrastructure", cause, message: "" },
          );
          if (verdict.kind === "finish") {
            expect(infrastructureRetries).toBe(MAX_INFRASTRUCTURE_RETRIES);
            return;
          }
          infrastructureRetries = verdict.infrastructureRetries;
        }
        expect.unreachable();
      }),
    );
  });

  it("is tried again as its workflow says, after waits that grow to a bound", () => {
    const retry = { max: 3, on: ["failure" as const], backoff: { delayMs: 10_000, factor: 3, maxMs: 60_000 } };
    const failed = { kind: "failed", reason: "step_failed" } as const;
    const after = (retries: number, end: ExecutionEnd = failed) =>
      decideJob({ infrastructureRetries: 0, retries, execution: retries + 1 }, end, retry);
    expect([0, 1, 2].map((retries) => after(retries))).toMatchObject([
      { kind: "retry", delayMs: 10_000, retries: 1 },
      { kind: "retry", delayMs: 30_000, retries: 2 },
      { kind: "retry", delayMs: 60_000, retries: 3 },
    ]);
    expect(after(3)).toEqual({ kind: "finish", status: "failed", reason: "step_failed" });
    expect(after(0, { kind: "failed", reason: "timed_out" })).toMatchObject({ kind: "finish" });
  });

  it("that failed by its own steps is not retried", () => {
    expect(
      decideJob({ infrastructureRetries: 0, retries: 0, execution: 1 }, { kind: "failed", reason: "step_failed" }),
    ).toEqual({
      kind: "finish",
      status: "failed",
      reason: "step_failed",
    });
  });
});

/** A random graph without cycles: each job needs only earlier ones. */
const graphs = fc.integer({ min: 1, max: 10 }).chain((size) =>
  fc.tuple(
    ...Array.from({ length: size }, (_, index) =>
      fc.record({
        succeeds: fc.boolean(),
        needs: index === 0 ? fc.constant([]) : fc.uniqueArray(fc.integer({ min: 0, max: index - 1 }), { maxLength: 3 }),
      }),
    ),
  ),
);

describe("a run", () => {
  it("starts each job once, after its needs, skips what cannot run, and ends", () => {
    fc.assert(
      fc.property(graphs, fc.infiniteStream(fc.nat()), (graph, picks) => {
        const jobs = graph.map((job, index) => ({
          key: `j${index}`,
          needs: (job.needs as number[]).map((need) => `j${need}`),
        }));
        const run = new RunGraph(jobs);
        const started = new Set<string>();
        const pick = picks[Symbol.iterator]();
        for (let rounds = 0; run.finish === null; rounds += 1) {
          expect(rounds).toBeLessThanOrEqual(jobs.length);
          for (const key of run.advance()) {
            expect(started.has(key)).toBe(false);
            started.add(key);
            const { needs = [] } = jobs.find((job) => job.key === key) ?? {};
            expect(needs.map((need) => run.statusOf(need))).toEqual(needs.map(() => "succeeded"));
          }
          const { going } = run;
          if (going.length === 0) break;
          const ended = going[(pick.next().value as number) % going.length] as string;
          run.end(ended, graph[Number(ended.slice(1))]?.succeeds ? "succeeded" : "failed");
        }
        const ends = jobs.map(({ key }) => run.statusOf(key));
        expect(ends.every(isTerminal)).toBe(true);
        expect(run.finish).toBe(ends.includes("failed") ? "failed" : "succeeded");
      }),
    );
  });

  it("skips a whole chain when its first job fails, and is failed", () => {
    const run = new RunGraph([
      { key: "build", needs: [] },
      { key: "test", needs: ["build"] },
      { key: "ship", needs: ["test"] },
    ]);
    expect(run.advance()).toEqual(["build"]);
    run.end("build", "failed");
    expect(run.advance()).toEqual([]);
    expect(["test", "ship"].map((key) => run.statusOf(key))).toEqual(["skipped", "skipped"]);
    expect(run.finish).toBe("failed");
  });

  it("is over when no job is open, and failed when one failed", () => {
    expect(decideFinish({ open: true, failed: true })).toBeNull();
    expect(decideFinish({ open: false, failed: true })).toBe("failed");
    expect(decideFinish({ open: false, failed: false })).toBe("succeeded");
  });
});

describe("a job whose needs have ended", () => {
  const ready = { spoilt: false, hasCondition: false };
  it.each([
    ["starts when they succeeded", ready, "start"],
    ["is skipped when one did not", { ...ready, spoilt: true }, "skip"],
    ["is asked when it has a condition", { ...ready, hasCondition: true }, "ask"],
    ["is asked also when one did not succeed", { spoilt: true, hasCondition: true }, "ask"],
    ["is held when its matrix has no place", { ...ready, matrix: { job: "m", maxParallel: 2 } }, "hold"],
    ["starts when its matrix has no bound", { ...ready, matrix: { job: "m", maxParallel: null } }, "start"],
    ["starts when its matrix has a place", { ...ready, matrix: { job: "m", maxParallel: 3 } }, "start"],
  ])("%s", (_title, job, verdict) => {
    expect(decideReady([job], new Map([["m", 2]]))).toEqual([verdict]);
  });

  it("takes a place in its matrix from those after it", () => {
    const matrix = { job: "m", maxParallel: 2 };
    const jobs = [
      { ...ready, matrix },
      { ...ready, hasCondition: true, matrix },
      { ...ready, matrix },
    ];
    expect(decideReady(jobs, new Map())).toEqual(["start", "ask", "hold"]);
  });
});
