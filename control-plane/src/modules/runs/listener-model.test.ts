import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Buffered,
  decideListened,
  decideListener,
  isFull,
  type ListenedExecution,
  MAX_LISTENER_EXECUTIONS,
  outputsOf,
  type ResolutionReason,
} from "./listener-model.ts";
import { decideJob, type ExecutionEnd } from "./model.ts";

const EXPIRES_AT = 100_000;
const idle = { now: 10_000, firings: 0, isBusy: false, expiresAt: EXPIRES_AT, buffered: null };
const one = { count: 1, bytes: 10, oldestAt: 9_000, newestAt: 9_000 };
const rules = { batch: null, maxExecutions: null };
const batch = (fields: Partial<NonNullable<Rules["batch"]>>) => ({
  ...rules,
  batch: { debounceMs: null, maxSize: null, maxWaitMs: null, ...fields },
});
type Rules = Parameters<typeof decideListener>[0];

describe("a job that listens", () => {
  it("waits for its time while there is nothing, or while it runs", () => {
    const wait = { kind: "wait", dueAt: EXPIRES_AT };
    expect(decideListener(rules, idle)).toEqual(wait);
    expect(decideListener(rules, { ...idle, isBusy: true, buffered: one })).toEqual(wait);
    expect(decideListener({ ...rules, maxExecutions: 1 }, { ...idle, isBusy: true, firings: 1 })).toEqual(wait);
  });

  it("fires at once with all there is when it does not batch", () => {
    expect(decideListener(rules, { ...idle, buffered: one })).toEqual({ kind: "fire", events: 1 });
    expect(decideListener(rules, { ...idle, buffered: { ...one, count: 7 } })).toEqual({ kind: "fire", events: 7 });
  });

  it.each([
    ["too few, for ever", batch({ maxSize: 3 }), { ...one, count: 2 }, { kind: "wait", dueAt: EXPIRES_AT }],
    ["as many as it takes", batch({ maxSize: 3 }), { ...one, count: 3 }, { kind: "fire", events: 3 }],
    ["more than it takes", batch({ maxSize: 3 }), { ...one, count: 5 }, { kind: "fire", events: 3 }],
    ["not yet quiet", batch({ debounceMs: 2_000 }), one, { kind: "wait", dueAt: 11_000 }],
    ["quiet", batch({ debounceMs: 1_000 }), one, { kind: "fire", events: 1 }],
    ["waiting long enough", batch({ maxWaitMs: 1_000 }), { ...one, newestAt: 9_999 }, { kind: "fire", events: 1 }],
    [
      "whatever comes first",
      batch({ maxSize: 3, debounceMs: 5_000, maxWaitMs: 2_000 }),
      { ...one, newestAt: 9_500 },
      { kind: "wait", dueAt: 11_000 },
    ],
    [
      "a full buffer, which nothing more would complete",
      batch({ maxSize: 2_000 }),
      { ...one, count: 1_000 },
      { kind: "fire", events: 1_000 },
    ],
    [
      "a buffer that is full of bytes",
      batch({ maxSize: 2_000 }),
      { ...one, bytes: 4 * 1024 * 1024 },
      { kind: "fire", events: 1 },
    ],
  ])("batches: %s", (_name, model, buffered, verdict) => {
    expect(decideListener(model, { ...idle, buffered })).toEqual(verdict);
  });

  it("ends before it fires again: by its time, by its executions, and after a thousand of them in any case", () => {
    const timeout = { kind: "resolve", reason: "timeout" };
    const enough = { kind: "resolve", reason: "max_executions" };
    expect(decideListener(rules, { ...idle, buffered: one, now: EXPIRES_AT })).toEqual(timeout);
    expect(decideListener(rules, { ...idle, isBusy: true, now: EXPIRES_AT })).toEqual(timeout);
    expect(decideListener({ ...rules, maxExecutions: 2 }, { ...idle, firings: 2, buffered: one })).toEqual(enough);
    const many = { ...idle, firings: MAX_LISTENER_EXECUTIONS, buffered: one };
    expect(decideListener({ ...rules, maxExecutions: 5_000 }, many)).toEqual(enough);
  });

  it("has succeeded unless an execution failed, and publishes what the last one that succeeded did", () => {
    const ended = (status: string, outputs: string | null = null): ListenedExecution => ({
      status,
      reason: status === "failed" ? "timed_out" : null,
      outputs,
    });
    expect(decideListened([])).toEqual({ status: "succeeded", reason: null });
    expect(decideListened([ended("cancelled"), ended("succeeded")])).toEqual({ status: "succeeded", reason: null });
    expect(decideListened([ended("failed"), ended("succeeded")])).toEqual({ status: "failed", reason: "timed_out" });
    expect(outputsOf([ended("succeeded", "1"), ended("succeeded", "2"), ended("failed")])).toBe("2");
    expect(outputsOf([ended("cancelled")])).toBeNull();
  });
});

// --- whole listeners in memory: the decisions alone, driven by random events ---------------------------------------

type Happening =
  | { readonly kind: "event" | "until" | "succeed" | "fail" | "lose" | "cancel" }
  | { readonly wait: number };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Happening>({ kind: "event" }) },
  { weight: 6, arbitrary: fc.constantFrom<Happening>({ kind: "succeed" }, { kind: "fail" }, { kind: "lose" }) },
  { weight: 4, arbitrary: fc.record({ wait: fc.integer({ min: 1, max: 20_000 }) }) },
  { weight: 1, arbitrary: fc.constantFrom<Happening>({ kind: "until" }, { kind: "cancel" }) },
);

const listenings = fc.record({
  maxExecutions: fc.option(fc.integer({ min: 1, max: 4 })),
  timeout: fc.integer({ min: 10_000, max: 90_000 }),
  onResolve: fc.constantFrom("finish" as const, "cancel" as const),
  batch: fc.option(
    fc.record({
      debounceMs: fc.option(fc.integer({ min: 1_000, max: 9_000 })),
      maxSize: fc.option(fc.integer({ min: 1, max: 4 })),
      maxWaitMs: fc.option(fc.integer({ min: 1_000, max: 15_000 })),
    }),
  ),
});
type Listening = typeof listenings extends fc.Arbitrary<infer T> ? T : never;

interface Execution {
  readonly firing: number;
  readonly events: readonly number[];
  readonly retryOf: number | null;
  status: "running" | "succeeded" | "failed" | "cancelled";
}

class Listener {
  now = 0;
  resolution: ResolutionReason | null = null;
  finished = false;
  readonly executions: Execution[] = [];
  readonly dropped: number[] = [];
  taken = 0;
  #dueAt: number;
  #buffer: { id: number; at: number }[] = [];
  #firings = 0;
  #tries = { infrastructureRetries: 0, retries: 0, execution: 1 };
  readonly #listening: Listening;

  constructor(listening: Listening) {
    this.#listening = listening;
    this.#dueAt = listening.timeout;
  }

  get #running(): Execution | undefined {
    return this.executions.find(({ status }) => status === "running");
  }

  get #buffered(): Buffered | null {
    const [first] = this.#buffer;
    if (!first) return null;
    return { count: this.#buffer.length, bytes: 0, oldestAt: first.at, newestAt: this.#buffer.at(-1)?.at ?? 0 };
  }

  play(next: Happening): void {
    if ("wait" in next) return this.sleep(this.now + next.wait);
    if (next.kind === "cancel") return this.#cancel();
    if (next.kind === "succeed") return this.#end({ kind: "succeeded" });
    if (next.kind === "fail") return this.#end({ kind: "failed", reason: "step_failed" });
    if (next.kind === "lose") return this.#end({ kind: "infrastructure", cause: "runner_lost", message: "gone" });
    if (this.resolution !== null) return;
    if (next.kind === "until") return this.#resolve("until");
    assert(!isFull(this.#buffered));
    this.#buffer.push({ id: this.taken, at: this.now });
    this.taken += 1;
    this.#advance();
  }

  /** Time passes; what is due on the way is looked at. */
  sleep(until: number): void {
    while (!this.finished && this.resolution === null && this.#dueAt <= until) {
      this.now = Math.max(this.now, this.#dueAt);
      this.#advance();
      // Nothing is due for ever: a look moves on.
      assert(this.resolution !== null || this.#dueAt > this.now);
    }
    this.now = Math.max(this.now, until);
  }

  #advance(): void {
    if (this.finished) return;
    if (this.resolution !== null) return this.#finishIfIdle();
    const verdict = decideListener(this.#listening, {
      now: this.now,
      firings: this.#firings,
      isBusy: this.#running !== undefined,
      expiresAt: this.#listening.timeout,
      buffered: this.#buffered,
    });
    if (verdict.kind === "resolve") return this.#resolve(verdict.reason);
    this.#dueAt = verdict.kind === "wait" ? verdict.dueAt : this.#listening.timeout;
    if (verdict.kind !== "fire") return;
    assert.equal(this.#running, undefined);
    assert(verdict.events > 0 && verdict.events <= this.#buffer.length);
    this.#firings += 1;
    this.#tries = { infrastructureRetries: 0, retries: 0, execution: 1 };
    const events = this.#buffer.splice(0, verdict.events).map(({ id }) => id);
    this.executions.push({ firing: this.#firings, events, retryOf: null, status: "running" });
  }

  #resolve(reason: ResolutionReason): void {
    assert.equal(this.resolution, null);
    this.resolution = reason;
    this.dropped.push(...this.#buffer.splice(0).map(({ id }) => id));
    const running = this.#running;
    if (running && (this.#listening.onResolve === "cancel" || reason === "cancelled")) running.status = "cancelled";
    this.#finishIfIdle();
  }

  #cancel(): void {
    if (this.finished) return;
    const running = this.#running;
    if (this.resolution === null) return this.#resolve("cancelled");
    if (running) running.status = "cancelled";
    this.#finishIfIdle();
  }

  #end(end: ExecutionEnd): void {
    const running = this.#running;
    if (!running) return;
    const verdict = decideJob(this.#tries, end);
    running.status = end.kind === "succeeded" ? "succeeded" : "failed";
    if (verdict.kind === "retry") {
      this.#tries = { ...verdict, execution: this.#tries.execution + 1 };
      const retryOf = this.executions.indexOf(running);
      this.executions.push({ ...running, retryOf, status: "running" });
      return;
    }
    this.#advance();
  }

  #finishIfIdle(): void {
    if (this.#running === undefined) this.finished = true;
  }
}

const EVENT: Happening = { kind: "event" };

describe("a listening job to which random things happen", () => {
  const played = fc.tuple(listenings, fc.array(happening, { maxLength: 60 }));

  it("runs one execution at a time, gives each event to one of them, and resolves once", () => {
    fc.assert(
      fc.property(played, ([listening, happenings]) => {
        const listener = new Listener(listening);
        for (const next of happenings) listener.play(next);
        // Nobody does anything any more but time, and the runner that ends what it has.
        listener.sleep(listening.timeout);
        listener.play({ kind: "succeed" });
        expect(listener.finished).toBe(true);
        expect(listener.resolution).not.toBeNull();

        const firings = listener.executions.filter(({ retryOf }) => retryOf === null);
        const used = firings.flatMap(({ events }) => events);
        // In the order of receipt, none twice, none lost before the listening ended.
        expect([...used, ...listener.dropped]).toEqual(Array.from({ length: listener.taken }, (_, index) => index));
        expect(firings.map(({ firing }) => firing)).toEqual(firings.map((_, index) => index + 1));
        expect(firings.length).toBeLessThanOrEqual(listening.maxExecutions ?? MAX_LISTENER_EXECUTIONS);
        for (const { retryOf, events, firing } of listener.executions) {
          const replaced = retryOf === null ? null : listener.executions[retryOf];
          if (replaced) expect([replaced.events, replaced.firing, replaced.status]).toEqual([events, firing, "failed"]);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("fires for every event that it takes without a batch, as soon as nothing runs", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), (count) => {
        const listener = new Listener({ maxExecutions: null, timeout: 90_000, onResolve: "finish", batch: null });
        for (let index = 0; index < count; index += 1) {
          listener.play(EVENT);
          listener.play({ kind: "succeed" });
        }
        expect(listener.executions.map(({ events }) => events)).toEqual(
          Array.from({ length: count }, (_, index) => [index]),
        );
      }),
    );
  });
});
