import pc from "picocolors";
import { describe, expect, it } from "vitest";
import type { ExecutionEvent, JobEvent, StepEvent } from "../plan-output.ts";
import type { Terminal } from "../terminal.ts";
import { textSink } from "./follow-text.ts";

const ended = {
  type: "execution",
  lane: "build",
  job: "build",
  sequence: 1,
  status: "failed",
  reason: "step_failed",
  message: null,
  failure_class: "user",
  failure_cause: null,
  runner: "build-1",
  trigger_events: [],
  duration_ms: 1_200,
} satisfies ExecutionEvent;

const failed = {
  type: "step",
  lane: "build",
  job: "build",
  step: "Test",
  step_id: "s",
  attempt: 1,
  status: "failed",
  reason: null,
  exit_code: 3,
  error: null,
  duration_ms: 400,
} satisfies StepEvent;

async function shown(...events: (ExecutionEvent | JobEvent | StepEvent)[]): Promise<string[]> {
  const lines: string[] = [];
  const print = async (text: string) => void lines.push(text);
  const sink = textSink({ colors: pc.createColors(false), print } as unknown as Terminal);
  for (const event of events) await sink.event(event);
  return lines;
}

describe("an event of a job, as text", () => {
  it("says how long an execution took, and nothing of time when it never began", async () => {
    const never: ExecutionEvent = { ...ended, status: "cancelled", reason: "run_cancelled", duration_ms: null };
    expect(await shown(ended, never)).toEqual([
      "[build] ✗ execution failed after 1.2s (step failed)",
      "[build] ⊘ execution cancelled (run cancelled)",
    ]);
  });

  it("names the events that a listening job runs for, and what ended its listening", async () => {
    const started = { ...ended, sequence: 2, status: "running", reason: null, duration_ms: null };
    const resolved: JobEvent = {
      type: "job",
      lane: "build",
      job: "build",
      status: "succeeded",
      reason: null,
      waiting: null,
      resolution: "max_executions",
    };
    const listens = { ...resolved, status: "running", waiting: "listens for git push", resolution: null };
    expect(await shown({ ...started, trigger_events: ["git push", "git tag", "git push"] }, listens, resolved)).toEqual(
      [
        "[build] ● execution 2 started on build-1 for git push ×2, git tag",
        "[build] waiting: listens for git push",
        "[build] ✓ job succeeded (listening ended: max executions)",
      ],
    );
  });

  it("tells the exit code once, also when the message has it", async () => {
    const error = (message: string) => ({ ...failed, error: { message } }) as StepEvent;
    expect(await shown(failed, error("exited with code 3"), error("the step ran out of time"))).toEqual([
      "[build] ✗ Test failed: exit code 3 400ms",
      "[build] ✗ Test failed: exited with code 3 400ms",
      "[build] ✗ Test failed: exit code 3, the step ran out of time 400ms",
    ]);
  });
});
