import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { Api } from "../src/api.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { HandRunner } from "../src/hand-runner.ts";
import { HttpProxy } from "../src/http-proxy.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runStep, workflow } from "../src/instance.ts";
import { followLog, outputOf } from "../src/log-stream.ts";
import { useStage } from "../src/stage.ts";

const LINES = 300;
const EXPECTED = Array.from({ length: LINES }, (_, index) => `line ${index + 1}`);
const COUNTING = workflow(
  "Counting",
  `  count:
    checkout: false
    steps:
      - run: for i in $(seq 1 ${LINES}); do echo "line $i"; sleep 0.01; done
`,
);
const LONGEST_STOP_MS = 10_000;

const numbered = (text: string) => text.match(/^line \d+$/gm);

describe("long calls are interrupted", () => {
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

  async function expectWhole(runId: string): Promise<string> {
    const job = jobOf(await instance.waitForRun(runId), "count");
    expect(job.job_executions).toHaveLength(1);
    expect(newestExecution(job)).toMatchObject({ status: "succeeded", status_reason: null });
    const text = await instance.logText(runStep(job).id);
    expect(numbered(text)).toEqual(EXPECTED);
    return text;
  }

  it(`${fault(45, "readers from the start, in the middle, at the end, with breaking connections")}`, async () => {
    const proxy = await HttpProxy.start(stage, plane.url);
    const broken = new Api(proxy.url, instance.api.token);
    const runId = await instance.fire(project, "Counting");
    const { step } = await instance.stepPrinted(runId, "count", "line 1\n");
    let seen = 0;
    const readers = [
      followLog(instance.api, step.id),
      // Cut after every fiftieth record.
      followLog(broken, step.id, { onRecord: () => (seen += 1) % 50 === 0 && proxy.breakConnections() }),
    ];
    await instance.stepPrinted(runId, "count", "line 100\n");
    readers.push(followLog(instance.api, step.id));
    const text = await expectWhole(runId);
    readers.push(followLog(instance.api, step.id), followLog(broken, step.id));
    for (const records of await Promise.all(readers)) expect(outputOf(records)).toBe(text);
    expect(seen).toBeGreaterThan(50);
  });

  it(`${fault(24, "while a job prints, claims are parked and a reader follows its log")}`, async () => {
    const hand = await HandRunner.register(plane.url, await instance.registrationToken(), ["nothing-for-it"]);
    const runId = await instance.fire(project, "Counting");
    const { step } = await instance.stepPrinted(runId, "count", "line 5\n");
    const following = followLog(instance.api, step.id);
    const parked = hand.claimCall({ key: randomUUID(), waitSeconds: 50 });
    await eventually("the claim is parked", async () =>
      (await instance.runners()).some(({ id, state }) => id === hand.registered.runner_id && state === "online"),
    );
    const stopped = performance.now();
    expect(await plane.stop()).toEqual({ code: 0, signal: null });
    expect(performance.now() - stopped).toBeLessThan(LONGEST_STOP_MS);
    const answer = await parked;
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([204, "1"]);
    await plane.restart();
    const text = await expectWhole(runId);
    expect(outputOf(await following)).toBe(text);
  });
});
