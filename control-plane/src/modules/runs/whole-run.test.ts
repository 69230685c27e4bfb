import assert from "node:assert/strict";
import type { JobStatus, StepStatus } from "@shipfox/shared/api/runs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideListened, decideListener, type ListenedExecution } from "./listener-model.ts";
import {
  decideGate,
  decideJob,
  decideLast,
  decideNextStep,
  type ExecutionEnd,
  isTerminal,
  MAX_GATE_ATTEMPTS,
  MAX_INFRASTRUCTURE_RETRIES,
  type StepState,
} from "./model.ts";
import { RunGraph } from "./run-graph.fixture.ts";
import type { RetryModel } from "../workflow/public.ts";

// Whole runs in memory: the decisions alone, driven by random workflows and random events.

type Judgement = "accepted" | "rejected" | "errored";

interface StepPlan {
  /** What its condition says, by attempt of the step; null without a condition. */
  readonly condition: readonly Judgement[] | null;
  /** Exit codes by attempt. */
  readonly exits: readonly number[];
  readonly gate: { readonly judged: readonly Judgement[] | null; readonly restartFrom: number | null } | null;
}

interface JobPlan {
  /** Counted among the jobs before it: the one that is a call, of which it is a part; null for a job of the workflow itself. */
  readonly within: number | null;
  /** Those of another call are left out. */
  readonly needs: readonly number[];
  readonly condition: Judgement | null;
  readonly retry: RetryModel | null;
  readonly steps: readonly StepPlan[];
  /** For how many executions it listens; null for a job that runs once. */
  readonly listens: number | null;
}

interface Step extends StepState {
  readonly status: StepStatus;
}

interface Job {
  readonly key: string;
  readonly plan: JobPlan;
  readonly needs: readonly string[];
  readonly within: string | undefined;
  readonly isCall: boolean;
  status: JobStatus;
  execution: number;
  infrastructureRetries: number;
  retries: number;
  steps: Step[];
  restarts: number[];
  running: boolean;
  firings: number;
  /** The executions of a listening job that no retry has replaced. */
  readonly listened: ListenedExecution[];
}

const judgement = fc.constantFrom<Judgement>("accepted", "rejected", "errored");
const judgements = fc.array(judgement, { minLength: 1, maxLength: 4 });

const stepPlan = (position: number): fc.Arbitrary<StepPlan> =>
  fc.record({
    condition: fc.option(judgements, { freq: 2 }),
    exits: fc.array(fc.constantFrom(0, 0, 1), { minLength: 1, maxLength: 4 }),
    gate: fc.option(
      fc.record({
        judged: fc.option(judgements),
        restartFrom: position === 1 ? fc.constant(null) : fc.option(fc.integer({ min: 1, max: position - 1 })),
      }),
      { freq: 2 },
    ),
  });

const jobPlan = (index: number): fc.Arbitrary<JobPlan> =>
  fc.record({
    within: index === 0 ? fc.constant(null) : fc.option(fc.integer({ min: 0, max: index - 1 }), { freq: 2 }),
    needs: index === 0 ? fc.constant([]) : fc.uniqueArray(fc.integer({ min: 0, max: index - 1 }), { maxLength: 3 }),
    condition: fc.option(judgement, { freq: 2 }),
    retry: fc.option(
      fc.record({
        max: fc.integer({ min: 1, max: 3 }),
        on: fc.constant(["failure" as const]),
        backoff: fc.constant({ delayMs: 1_000, factor: 2, maxMs: 3_000 }),
      }),
      { freq: 2 },
    ),
    steps: fc
      .integer({ min: 1, max: 5 })
      .chain((count) => fc.tuple(...Array.from({ length: count }, (_, step) => stepPlan(step + 1)))),
    listens: fc.option(fc.integer({ min: 1, max: 3 }), { freq: 2 }),
  });

const workflows = fc
  .integer({ min: 1, max: 7 })
  .chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => jobPlan(index))));

/** What happens next: which of the running jobs goes on, and whether its runner is lost on the way. */
const happenings = fc.infiniteStream(fc.record({ pick: fc.nat(), lost: fc.constantFrom(false, false, false, true) }));

const at = <T>(values: readonly T[], index: number): T => values[Math.min(index, values.length - 1)] as T;

class Run {
  readonly jobs: Job[];
  /** Everything that happened, for comparing two plays of the same workflow. */
  readonly history: string[] = [];
  readonly #graph: RunGraph;

  constructor(plans: readonly JobPlan[]) {
    this.jobs = plans.map((plan, index) => ({
      key: `j${index}`,
      plan,
      needs: plan.needs.filter((need) => plans[need]?.within === plan.within).map((need) => `j${need}`),
      within: plan.within === null ? undefined : `j${plan.within}`,
      isCall: plans.some(({ within }) => within === index),
      status: "pending",
      execution: 0,
      infrastructureRetries: 0,
      retries: 0,
      steps: [],
      restarts: [],
      running: false,
      firings: 0,
      listened: [],
    }));
    this.#graph = new RunGraph(
      this.jobs.map(({ key, needs, within, isCall, plan }) => ({
        key,
        needs,
        hasCondition: plan.condition !== null,
        ...(within === undefined ? {} : { within }),
        isCall,
      })),
    );
  }

  get finish(): RunGraph["finish"] {
    return this.#graph.finish;
  }

  /** Starts and skips what the state of the jobs decides, until nothing changes. */
  advance(): void {
    const started = this.#graph.advance((key) => this.#job(key).plan.condition === "accepted");
    for (const job of this.jobs) {
      const status = this.#graph.statusOf(job.key);
      if (isTerminal(status) && !isTerminal(job.status)) this.#settle(job, status);
    }
    // A call whose jobs are all skipped has begun and ended by now.
    for (const job of started.map((key) => this.#job(key))) if (!isTerminal(job.status)) this.#begin(job);
    for (const call of this.jobs.filter(({ isCall, status }) => isCall && isTerminal(status))) this.#checkEnd(call);
  }

  /** A call that has ended did so after all its jobs, and as they did. */
  #checkEnd(call: Job): void {
    const inside = this.jobs.filter(({ within }) => within === call.key).map(({ status }) => status);
    assert(inside.every(isTerminal));
    if (call.status === "skipped") assert(inside.every((status) => status === "skipped"));
    else assert.equal(call.status, inside.includes("failed") ? "failed" : "succeeded");
  }

  #job(key: string): Job {
    const job = this.jobs.find((each) => each.key === key);
    if (!job) throw new Error(`no job ${key}`);
    return job;
  }

  #end(job: Job, status: "succeeded" | "failed"): void {
    this.#graph.end(job.key, status);
    this.#settle(job, status);
  }

  #settle(job: Job, status: JobStatus): void {
    assert(!isTerminal(job.status));
    job.status = status;
    job.running = false;
    this.history.push(`${job.key} ${status}`);
  }

  #begin(job: Job): void {
    const needs = job.needs.map((need) => this.#job(need).status);
    assert(needs.every(isTerminal));
    assert(job.plan.condition !== null || needs.every((status) => status === "succeeded"));
    if (job.within !== undefined) assert.equal(this.#job(job.within).status, "running");
    if (job.isCall) job.status = "running";
    else if (job.plan.listens === null) this.#execute(job);
    else this.#listen(job);
  }

  /** There is always an event that waits. */
  #listen(job: Job): void {
    const buffered = { count: 1, bytes: 0, oldestAt: 0, newestAt: 0 };
    const state = { now: 0, firings: job.firings, isBusy: false, expiresAt: 1, buffered };
    const verdict = decideListener({ batch: null, maxExecutions: job.plan.listens }, state);
    if (verdict.kind !== "fire") return this.#end(job, decideListened(job.listened).status);
    job.firings += 1;
    Object.assign(job, { execution: 0, infrastructureRetries: 0, retries: 0 });
    this.#execute(job);
  }

  #execute(job: Job): void {
    job.execution += 1;
    job.running = true;
    job.status = "running";
    job.restarts = job.plan.steps.map(() => 0);
    const setup: Step = { id: `${job.key}-0`, position: 0, status: "pending", currentAttempt: 1 };
    const authored = job.plan.steps.map(({ condition, gate }, index): Step => {
      return {
        id: `${job.key}-${index + 1}`,
        position: index + 1,
        status: "pending",
        currentAttempt: 1,
        hasCondition: condition !== null,
        ...(gate ? { gate: gate.restartFrom === null ? "judges" : "restarts" } : {}),
      };
    });
    job.steps = [setup, ...authored];
    this.history.push(`${job.key} execution ${job.execution}`);
  }

  /** One call of the job's runner: it gets its next step and reports it. */
  step(job: Job): void {
    for (;;) {
      const next = decideNextStep(job.steps);
      if (next.kind === "done") {
        for (const skipped of next.skipped) this.#set(job, skipped, "skipped");
        assert(job.steps.every(({ status }) => isTerminal(status)));
        const failed = job.steps.some(({ status }) => status === "failed");
        assert.equal(next.status, failed ? "failed" : "succeeded");
        return this.#finish(job, failed ? { kind: "failed", reason: "step_failed" } : { kind: "succeeded" });
      }
      if (next.kind === "ask") {
        for (const skipped of next.skipped) this.#set(job, skipped, "skipped");
        const { condition } = job.plan.steps[next.step.position - 1] as StepPlan;
        if (at(condition ?? [], next.step.currentAttempt - 1) !== "accepted") {
          this.#set(job, next.step, "skipped");
          continue;
        }
      }
      assert(job.steps.every(({ status }) => status !== "running"));
      this.#set(job, next.step, "running");
      assert.equal(decideNextStep(job.steps).kind, "repeat");
      return this.#report(job, { ...next.step, status: "running" });
    }
  }

  #report(job: Job, step: Step): void {
    const plan = job.plan.steps[step.position - 1];
    const exitCode = plan ? at(plan.exits, step.currentAttempt - 1) : 0;
    const gate = plan?.gate ?? null;
    const status = exitCode === 0 ? "succeeded" : "failed";
    const verdict = decideGate(
      { status, exitCode },
      gate && {
        judged: gate.judged && at(gate.judged, step.currentAttempt - 1),
        restarts: gate.restartFrom === null ? null : (job.restarts[step.position - 1] ?? 0),
      },
    );
    const last = decideLast(job.steps, step);
    this.#set(job, step, verdict.status);
    if (verdict.restarts) {
      assert.equal(verdict.status, "failed");
      job.restarts[step.position - 1] = (job.restarts[step.position - 1] ?? 0) + 1;
      assert((job.restarts[step.position - 1] ?? 0) < MAX_GATE_ATTEMPTS);
      const from = gate?.restartFrom ?? 0;
      job.steps = job.steps.map((each) =>
        each.position < from ? each : { ...each, status: "pending", currentAttempt: each.currentAttempt + 1 },
      );
    }
    // What a runner was told beforehand holds, whatever conditions and gates said then.
    assert(!last[status] || decideNextStep(job.steps).kind === "done");
  }

  #set(job: Job, step: Step, status: StepStatus): void {
    job.steps = job.steps.map((each) => (each.id === step.id ? { ...each, status } : each));
    this.history.push(`${step.id} ${status} ${step.currentAttempt}`);
  }

  lose(job: Job): void {
    this.#finish(job, { kind: "infrastructure", cause: "runner_lost", message: "gone" });
  }

  /** An execution is over: the job ends, or is tried again within its bounds. */
  #finish(job: Job, end: ExecutionEnd): void {
    const verdict = decideJob(job, end, job.plan.retry ?? undefined);
    if (verdict.kind === "finish" && job.plan.listens === null) return this.#end(job, verdict.status);
    if (verdict.kind === "finish") {
      job.listened.push({ ...verdict, outputs: null });
      return this.#listen(job);
    }
    job.infrastructureRetries = verdict.infrastructureRetries;
    job.retries = verdict.retries;
    assert(job.retries <= (job.plan.retry?.max ?? 0));
    assert(job.infrastructureRetries <= MAX_INFRASTRUCTURE_RETRIES);
    this.#execute(job);
  }
}

function play(plans: readonly JobPlan[], stream: Iterable<{ pick: number; lost: boolean }>): Run {
  const run = new Run(plans);
  const events = stream[Symbol.iterator]();
  run.advance();
  // 7 jobs of 5 steps, each restarted twice by each gate behind it, in 9 executions of 3 firings: nothing may go on for longer.
  for (let rounds = 0; run.finish === null; rounds += 1) {
    assert(rounds < 60_000);
    const running = run.jobs.filter((job) => job.running);
    assert(running.length > 0);
    const { pick, lost } = events.next().value as { pick: number; lost: boolean };
    const job = running[pick % running.length] as Job;
    if (lost) run.lose(job);
    else run.step(job);
    run.advance();
  }
  return run;
}

describe("a whole run of a random workflow", () => {
  it("ends, with every job and step settled once, whatever conditions, gates and lost runners do", () => {
    fc.assert(
      fc.property(workflows, happenings, (plans, events) => {
        const run = play(plans, events);
        expect(run.jobs.every(({ status }) => isTerminal(status))).toBe(true);
        expect(run.finish).toBe(run.jobs.some(({ status }) => status === "failed") ? "failed" : "succeeded");
        const ends = run.history.filter((entry) => /^j\d+ (succeeded|failed|skipped)$/.test(entry));
        expect(ends).toHaveLength(plans.length);
        for (const { plan, firings, listened, status, isCall } of run.jobs) {
          const wanted = status === "skipped" || isCall ? 0 : (plan.listens ?? 0);
          expect([firings, listened.length]).toEqual([wanted, wanted]);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("comes to the same end when the same things happen again", () => {
    fc.assert(
      fc.property(
        workflows,
        fc.array(fc.record({ pick: fc.nat(), lost: fc.boolean() }), { minLength: 1 }),
        (plans, events) => {
          const forever = function* () {
            for (;;) yield* events.map((event) => ({ ...event, lost: false }));
          };
          expect(play(plans, forever()).history).toEqual(play(plans, forever()).history);
        },
      ),
    );
  });
});
