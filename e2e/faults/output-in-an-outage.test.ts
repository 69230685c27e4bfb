import { access, chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { Instance, workflow } from "../src/instance.ts";
import { accountOf, sum } from "../src/log-account.ts";
import { useStage } from "../src/stage.ts";

const MIB = 1024 * 1024;

describe("a job that prints while the control plane is away", () => {
  const stage = useStage();

  it(`${fault(16, "what fits waits, the rest is counted, and the job ended meanwhile")}`, async () => {
    const plane = await ControlPlane.start(stage, { times: {} });
    const instance = await Instance.create(stage, plane);
    await instance.runner({ env: { SHIPFOX_RUNNER_LOG_SPOOL_MAX_BYTES: `${MIB}` } });
    const folder = await stage.folder("signals");
    const [begin, ended] = [join(folder, "begin"), join(folder, "ended")];
    await chmod(folder, 0o777);
    const script = `echo begun; until [ -e ${begin} ]; do sleep 0.05; done; seq 1 500000; touch ${ended}`;
    const project = await instance.project({
      "away.yml": workflow("Away", `  job:\n    checkout: false\n    steps:\n      - run: "${script}"\n`),
    });
    const runId = await instance.fire(project, "Away");
    const { step } = await instance.stepPrinted(runId, "job", "begun\n");
    await plane.kill9();
    await writeFile(begin, "");
    await eventually("the job has printed all of it", () => access(ended).then(() => true));
    await plane.restart();
    expect((await instance.waitForRun(runId)).status).toBe("succeeded");
    const records = await instance.logRecords(step.id);
    const { keptBytes, gaps, endBytes } = accountOf(records);
    expect(gaps.length).toBeGreaterThan(0);
    expect(keptBytes + sum(gaps)).toBe(endBytes);
    const numbers = records.flatMap((record) =>
      record.type === "output" && /^\d+\n$/.test(record.data) ? [Number(record.data)] : [],
    );
    expect(numbers[0]).toBe(1);
    expect(numbers.at(-1)).toBe(500_000);
    expect(numbers.every((number, index) => index === 0 || number > (numbers[index - 1] as number))).toBe(true);
  });
});
