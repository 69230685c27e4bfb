import { hash } from "node:crypto";

const SPAN_ID_CHARS = 16;
const SAMPLED = "01";

/** An attempt of a run is a trace, and its id is the trace's: 16 bytes, of which the last are random. */
export function traceIdOf(runAttemptId: string): string {
  return runAttemptId.replaceAll("-", "");
}

/** 8 bytes that stand for a thing within its trace: known to whoever knows the thing, long before its span is written. */
export function spanIdOf(kind: "run" | "job" | "execution", id: string): string {
  return digest(`${kind} ${id}`);
}

export function stepSpanId(stepId: string, attempt: number): string {
  return digest(`step ${stepId} ${attempt}`);
}

/** What a step passes on to whatever it calls. W3C Trace Context, level 1, 3.2. */
export function traceparentOf(step: { runAttemptId: string; stepId: string; attempt: number }): string {
  return `00-${traceIdOf(step.runAttemptId)}-${stepSpanId(step.stepId, step.attempt)}-${SAMPLED}`;
}

function digest(text: string): string {
  return hash("sha256", text, "hex").slice(0, SPAN_ID_CHARS);
}
