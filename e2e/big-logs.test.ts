import { readFile } from "node:fs/promises";
import type { Step } from "@shipfox/shared/api/runs";
import { describe, expect, it } from "vitest";
import { attack } from "./src/attack.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { Instance, jobOf, runSteps, workflow } from "./src/instance.ts";
import { accountOf, sum } from "./src/log-account.ts";
import { followLog } from "./src/log-stream.ts";
import { useStage } from "./src/stage.ts";

const MIB = 1024 * 1024;
/** Half of the longest line alone; how much of it is used depends on how soon V8 cleans up. */
const MAX_RESIDENT_MIB = 512;
const LIMIT_MS = 600_000;
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

/** The most memory that a process had, in MiB. */
async function peakMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

describe("logs that are far too long", () => {
  const stage = useStage();

  it(`${attack(24, "a log and a line of a GiB are kept at both ends, marked in the middle, and do not fill the memory")}`, {
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
});
