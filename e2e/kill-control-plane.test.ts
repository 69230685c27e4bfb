import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { followEvents } from "./src/event-stream.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runStep, workflow } from "./src/instance.ts";
import { followLog, outputOf } from "./src/log-stream.ts";
import { useStage } from "./src/stage.ts";

const LINES = 600;
/** One line every 10 ms: six seconds, which outlast two restarts. */
const COUNTING = workflow(
  "Counting",
  `  count:
    steps:
      - run: for i in $(seq 1 ${LINES}); do echo "line $i"; sleep 0.01; done
`,
);
const EXPECTED = Array.from({ length: LINES }, (_, index) => `line ${index + 1}`);

function numbered(text: string): string[] {
  return text.split("\n").filter((line) => /^line \d+$/.test(line));
}

describe("a control plane that is killed while a job prints", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "counting.yml": COUNTING });
    await instance.runner();
  });

  it.each([
    { kills: 1, after: ["line 100"] },
    { kills: 2, after: ["line 100", "line 250"] },
  ])("loses and doubles no line: killed $kills time(s)", async ({ after }) => {
    const runId = await instance.fire(project, "Counting");
    let following: Promise<string> | undefined;
    let happening: ReturnType<typeof followEvents> | undefined;
    for (const line of after) {
      const { step } = await instance.stepPrinted(runId, "count", `${line}\n`);
      following ??= followLog(instance.api, step.id).then(outputOf);
      happening ??= followEvents((after, options) =>
        instance.api.client.events.followRun({ id: runId, logs: true, after }, options),
      );
      await plane.kill9();
      await plane.restart();
    }

    const run = await instance.waitForRun(runId);
    const job = jobOf(run, "count");
    expect(run.status).toBe("succeeded");
    expect(job.job_executions).toHaveLength(1);
    expect(newestExecution(job)).toMatchObject({ status: "succeeded", status_reason: null });
    expect(numbered(await instance.logText(runStep(job).id))).toEqual(EXPECTED);
    // A reader that was connected all the time sees the same.
    expect(numbered(await (following ?? Promise.resolve("")))).toEqual(EXPECTED);
    const { events } = await instance.api.client.events.list({ id: runId, limit: 100 });
    expect(events.at(-1)?.type).toBe("run.finished");
    const happened = await happening;
    expect({ events: happened?.events, end: happened?.end }).toEqual({ events, end: "succeeded" });
    expect(numbered(outputOf(happened?.records.get(runStep(job).id) ?? []))).toEqual(EXPECTED);
  });

  it("keeps what it had acknowledged: accounts, runs and the queue", async () => {
    const other = await instance.project({
      "waiting.yml": workflow("Waiting", "  job:\n    runner: [linux, absent]\n    steps:\n      - run: 'true'\n"),
    });
    const runId = await instance.fire(other, "Waiting");
    await plane.kill9();
    await plane.restart();
    const run = await instance.waitForRun(runId, ({ jobs }) => jobs[0]?.waiting?.reason === "labels_unmatched");
    expect(run.status).toBe("pending");
    await instance.runner({ name: "late", labels: "linux,absent" });
    expect((await instance.waitForRun(runId)).status).toBe("succeeded");
  });
});
