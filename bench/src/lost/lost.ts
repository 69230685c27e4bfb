import { setTimeout as sleep } from "node:timers/promises";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { processTree } from "../processes.ts";
import { Stage } from "../stage.ts";

/** How long after its first line the job loses its runner: right after a renewal of the lease, and in between. */
const FULL = { waits: [0, 5_000, 9_000], settings: {} };
const QUICK = { waits: [0], settings: { SHIPFOX_LEASE_TERM_MS: "4000", SHIPFOX_HEARTBEAT_INTERVAL_MS: "1000" } };
const AIM_S = 45;

export const lost: Bench = {
  name: "lost",
  title: "Lost runner",
  about: `The runner, its guard and everything below them get SIGKILL while a job runs, as when the machine loses its power: nobody
says good-bye. From there to the moment when a user sees the job queued again. Settings as they are by default: a lease of
40 s, renewed every 10 s. One control plane, a runner for each row, looked at every 10 ms.`,
  needsDocker: false,
  run,
};

interface Sample {
  readonly waitMs: number;
  readonly seconds: number;
}

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const { waits, settings } = quick ? QUICK : FULL;
  const stage = await Stage.open(resources, { settings });
  const samples: Sample[] = [];
  for (const [index, waitMs] of waits.entries()) {
    stop.throwIfAborted();
    const seconds = await loseRunner(stage, `bench-lost-${index}`, waitMs);
    samples.push({ waitMs, seconds });
    say(`killed ${waitMs / 1000} s after the first line: queued again after ${seconds.toFixed(1)} s`);
  }
  return report(samples);
}

async function loseRunner(stage: Stage, label: string, waitMs: number): Promise<number> {
  const runner = await stage.runner({ label, docker: null });
  const definitionId = await stage.define(label, ["echo begun; sleep 300"]);
  const begun = Promise.withResolvers<string>();
  const reading = stage.reader.follow(definitionId, (record, runId) => {
    if (record.type === "output" && record.data.trimEnd() === "begun") begun.resolve(runId);
  });
  reading.catch(begun.reject);
  const runId = await begun.promise;
  await sleep(waitMs);
  const processes = await processTree(runner.process.pid);
  const killedAt = performance.now();
  for (const id of processes) killIfThere(id);
  await stage.reader.until(runId, "is queued again", ({ jobs }) => (jobs[0]?.job_executions.length ?? 0) > 1);
  const seconds = (performance.now() - killedAt) / 1000;
  // Nobody takes it: its log is read no further, and it must not wait for the next runner.
  await stage.reader.cancel(runId, { force: true });
  return seconds;
}

function killIfThere(id: number): void {
  try {
    process.kill(id, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function report(samples: readonly Sample[]): BenchReport {
  const longest = Math.max(...samples.map(({ seconds }) => seconds));
  return {
    tables: [
      {
        header: ["killed after the job's first line, s", "queued again after, s"],
        rows: samples.map(({ waitMs, seconds }) => [(waitMs / 1000).toFixed(0), seconds.toFixed(1)]),
      },
    ],
    aims: [{ what: "lost runner to queued again, longest, s", measured: longest, bound: { atMost: AIM_S } }],
    notes: ["The yardstick is the lease itself: less than its term would take jobs from runners that are merely slow."],
  };
}
