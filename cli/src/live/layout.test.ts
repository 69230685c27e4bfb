import type { Job, RunDetail } from "@shipfox/shared/api/runs";
import pc from "picocolors";
import { describe, expect, it } from "vitest";
import { execution, job, jobInState, jobSeed, run, step } from "../testing/fixtures.ts";
import { layoutRun, type View } from "./layout.ts";

const NOW = Date.parse("2026-07-06T10:00:05.000Z");
const FOOTER = "Ctrl-C stops watching";

function layout(shown: RunDetail, view: Partial<View> = {}): string[] {
  const colors = pc.createColors(false);
  return layoutRun(shown, { rows: 24, columns: 80, now: NOW, colors, tailOf: () => [], footer: FOOTER, ...view });
}

/** A job of which `ended` steps are over and the next one runs. */
function runningJob(key: string, { ended, steps }: { ended: number; steps: number }): Job {
  const seed = jobSeed();
  const [template] = jobInState(seed, "running", key).job_executions;
  const done = Array.from({ length: ended }, (_, position) =>
    step({ name: `Done ${position + 1}`, position, status: "succeeded" }),
  );
  const current = step({ ...template?.steps[0], name: "Now", position: ended });
  const later = Array.from({ length: steps - ended - 1 }, (_, index) =>
    step({ name: `Later ${index + 1}`, position: ended + 1 + index }),
  );
  return job({
    key,
    status: "running",
    job_executions: [execution({ ...template, steps: [...done, current, ...later] })],
  });
}

const waiting = job({
  key: "deploy",
  position: 1,
  waiting: {
    reason: "needs",
    since: "2026-07-06T10:00:00.000Z",
    message: "waits for build",
    labels: [],
    runners: { matching: 0, online: 0, busy: 0 },
  },
});

describe("a run on a terminal", () => {
  it("is a tree with durations, the end of the log of what runs, and what waits", () => {
    const build = { ...runningJob("build", { ended: 1, steps: 3 }), position: 0 };
    const lines = layout(run("running", [waiting, build]), { tailOf: () => ["compiling a.c", "compiling b.c"] });
    expect(lines).toEqual([
      "● CI #7 running 5.0s",
      "  ░░░░░░░░░░░░░░░░░░░░ 0 of 2 jobs · 1 running, 1 pending",
      "",
      "● build running 5.0s on build-1",
      "  ✓ Done 1",
      "  ● Now 5.0s",
      "    │ compiling a.c",
      "    │ compiling b.c",
      "  ○ Later 1",
      "○ deploy pending waits for build",
      FOOTER,
    ]);
  });

  it.each([5, 8, 12, 24])("is never higher than %i lines, nor wider than the terminal", (rows) => {
    const jobs = Array.from({ length: 9 }, (_, index) => runningJob(`job-${index}`, { ended: 3, steps: 9 }));
    const tailOf = () => Array.from({ length: 20 }, () => "x".repeat(300));
    const lines = layout(run("running", jobs), { rows, columns: 40, tailOf });
    expect(lines.length).toBeLessThanOrEqual(rows);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40);
    expect(lines.at(-1)).toBe(FOOTER);
  });

  it("keeps what runs and what failed when there are too many jobs, in their order, and counts the others", () => {
    const many = Array.from({ length: 40 }, (_, position) => {
      const states = { 17: "failed", 30: "running" } as const;
      const status = states[position as keyof typeof states] ?? "succeeded";
      return { ...jobInState(jobSeed(), status, `job-${position}`), position };
    });
    const lines = layout(run("running", many), { rows: 10 });
    expect(lines.filter((line) => /^[✗●] job/.test(line))).toEqual([
      expect.stringContaining("job-17 failed"),
      expect.stringContaining("job-30 running"),
    ]);
    expect(lines.at(-2)).toMatch(/^ {2}… \d+ more: \d+ succeeded$/);
  });

  it("gives the step that runs its place before the log, and the log before the other steps", () => {
    const shown = run("running", [runningJob("build", { ended: 4, steps: 9 })]);
    const tailOf = () => ["one", "two", "three", "four"];
    expect(layout(shown, { rows: 9, tailOf }).slice(3)).toEqual([
      "● build running 5.0s on build-1",
      "  ● Now 5.0s",
      "    │ two",
      "    │ three",
      "    │ four",
      FOOTER,
    ]);
  });

  it("shows which step of a job failed and how it ended", () => {
    const failed = jobInState(jobSeed(), "failed");
    expect(layout(run("failed", [failed]))).toContain("  ✗ Test exit code 3 4.0s");
  });
});
