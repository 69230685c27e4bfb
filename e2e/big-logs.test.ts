import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Step } from "@shipfox/shared/api/runs";
import type { LogRecord } from "@shipfox/shared/log-records";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { eventually } from "./src/eventually.ts";
import { Instance, jobOf, newestExecution, runSteps, workflow } from "./src/instance.ts";
import { followLog } from "./src/log-stream.ts";
import { useStage } from "./src/stage.ts";

const MIB = 1024 * 1024;
const MAX_RESIDENT_MIB = 400;
const LIMIT_MS = 300_000;
const LINES_MIB = 300;
/** Two steps that share the job's 32 MiB, and one that prints a single line of a GiB; each ends with a line of its own. */
const CHATTY = workflow(
  "Chatty",
  `  lines:
    checkout: false
    steps:
      - run: |
          (yes 'a line of some length that is printed over and over again' || :) | head -c ${LINES_MIB * MIB}
          echo; echo the last line
      - run: |
          echo "::group::inside"; (yes 'and more' || :) | head -c ${40 * MIB}; echo; echo second
  one_line:
    checkout: false
    needs: lines
    steps:
      - run: |
          (head -c 1G /dev/zero || :) | tr '\\0' x; echo; echo done
`,
);

function accountOf(records: readonly LogRecord[]) {
  const output = records.flatMap((record) => (record.type === "output" ? [record.data] : []));
  const gaps = records.flatMap((record) => (record.type === "gap" ? [record.dropped_bytes] : []));
  const end = records.at(-1);
  return {
    keptBytes: output.reduce((sum, data) => sum + Buffer.byteLength(data), 0),
    gaps,
    endBytes: end?.type === "end" ? end.total_bytes : null,
    tail: output.slice(-2).join(""),
  };
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** The most memory that a process had, in MiB. */
async function peakMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

describe("logs that are far too long", () => {
  const stage = useStage();

  it("are kept at both ends, marked in the middle, and neither stop the job nor fill the memory", {
    timeout: LIMIT_MS,
  }, async () => {
    const plane = await ControlPlane.start(stage);
    const instance = await Instance.create(stage, plane);
    const runner = await instance.runner();
    const project = await instance.project({ "chatty.yml": CHATTY });
    const runId = await instance.fire(project, "Chatty");
    const run = await instance.waitForRun(runId, undefined, { limitMs: LIMIT_MS });
    expect(run.status).toBe("succeeded");
    const [lines, more] = runSteps(jobOf(run, "lines")) as [Step, Step];
    const [line] = runSteps(jobOf(run, "one_line")) as [Step];
    const expectations = [
      { step: lines, printed: LINES_MIB * MIB, tail: "\nthe last line\n", keptMib: 12 },
      { step: more, printed: 40 * MIB, tail: "\nsecond\n", keptMib: 0.2 },
      { step: line, printed: 1024 * MIB, tail: "\ndone\n", keptMib: 25 },
    ];
    for (const { step, printed, tail, keptMib } of expectations) {
      const records = await instance.logRecords(step.id);
      const { keptBytes, gaps, endBytes, tail: seenTail } = accountOf(records);
      expect(gaps).toHaveLength(1);
      expect(keptBytes + sum(gaps)).toBe(endBytes);
      expect(endBytes).toBeGreaterThan(printed);
      expect(keptBytes).toBeGreaterThan(keptMib * MIB);
      expect(seenTail.endsWith(tail)).toBe(true);
      const mark = `[… ${new Intl.NumberFormat("en-US").format(gaps[0] as number)} bytes were dropped …]`;
      expect(await followLog(instance.api, step.id)).toEqual(records);
      const raw = await instance.api.call("GET", `/steps/${step.id}/attempts/1/logs/raw`);
      expect(raw.text.split("\n").filter((text) => text === mark)).toHaveLength(1);
    }
    expect(await peakMib(plane.child.pid)).toBeLessThan(MAX_RESIDENT_MIB);
    expect(await peakMib(runner.child.pid)).toBeLessThan(MAX_RESIDENT_MIB);
  });

  it("wait on the disk up to a bound while the control plane is away, and go on when it is back", {
    timeout: LIMIT_MS,
  }, async () => {
    const plane = await ControlPlane.start(stage, { times: {} });
    const instance = await Instance.create(stage, plane);
    await instance.runner({ env: { SHIPFOX_RUNNER_LOG_SPOOL_MAX_BYTES: `${MIB}` } });
    const folder = await stage.folder("signals");
    const [begin, printed] = [join(folder, "begin"), join(folder, "printed")];
    await execa("chmod", ["777", folder]);
    const script = `echo begun; until [ -e ${begin} ]; do sleep 0.05; done; seq 1 500000; touch ${printed}; sleep 3; echo over`;
    const project = await instance.project({
      "away.yml": workflow("Away", `  job:\n    checkout: false\n    steps:\n      - run: "${script}"\n`),
    });
    const runId = await instance.fire(project, "Away");
    const { step } = await instance.stepPrinted(runId, "job", "begun\n");
    await plane.kill9();
    await execa("touch", [begin]);
    await eventually("the job went on", () => readFile(printed).then(() => true));
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

  it.skipIf(process.getuid?.() !== 0)(
    "hand the job back as an infrastructure fault when the runner's disk is full",
    { timeout: LIMIT_MS },
    async () => {
      const stateDir = await stage.folder("tiny");
      await execa("/bin/mount", ["-t", "tmpfs", "-o", "size=3m,mode=711", "tmpfs", stateDir]);
      stage.onEnd(() => execa("/bin/umount", ["--lazy", stateDir]));
      const plane = await ControlPlane.start(stage);
      const instance = await Instance.create(stage, plane);
      const workDir = await stage.folder("work");
      // Without the floor, which would keep the runner from claiming at all.
      const noFloor = { SHIPFOX_RUNNER_DISK_FLOOR_BYTES: "0", SHIPFOX_RUNNER_DISK_FLOOR_INODES: "0" };
      await instance.runner({ stateDir, env: { SHIPFOX_RUNNER_WORK_DIR: workDir, ...noFloor } });
      const project = await instance.project({
        "full.yml": workflow(
          "Full",
          "  job:\n    checkout: false\n    steps:\n      - run: seq 1 1000000; sleep 600\n",
        ),
      });
      const runId = await instance.fire(project, "Full");
      const run = await instance.waitForRun(
        runId,
        ({ jobs }) => jobs[0]?.job_executions.some(({ status }) => status === "failed") === true,
      );
      const lost = jobOf(run, "job").job_executions.find(({ status }) => status === "failed");
      expect(lost).toMatchObject({ status_reason: "runner_lost" });
      await instance.api.call("POST", `/workflows/runs/${runId}/cancel`);
      await instance.waitForRun(runId);
      const step = newestExecution({ ...jobOf(run, "job"), job_executions: [lost as never] }).steps.find(
        ({ type }) => type === "run",
      );
      const records = await instance.logRecords((step as Step).id);
      const text = records.map((record) => (record.type === "output" ? record.data : "")).join("");
      expect(text.startsWith("1\n2\n") || text.includes("\n1\n2\n")).toBe(true);
      expect(text).toContain("no space left on device");
      const { keptBytes, gaps, endBytes } = accountOf(records);
      expect(keptBytes + sum(gaps)).toBe(endBytes);
    },
  );
});
