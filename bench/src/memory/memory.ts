import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { type Memory, memoryOf, processTree } from "../processes.ts";
import { type Runner, sandboxImage } from "../runner.ts";
import { startProcess } from "../server-process.ts";
import { Stage } from "../stage.ts";

const FULL = { idleMs: 60_000, jobs: 30 };
const QUICK = { idleMs: 3_000, jobs: 2 };
const MIB = 1024 * 1024;
/** The least that a server written for Node weighs. */
const BARE_PROGRAM = "require('node:http').createServer((_, response) => response.end()).listen(0, '127.0.0.1')";
const AIM_PLANE_MIB = 78;

export const memory: Bench = {
  name: "memory",
  title: "Idle memory",
  about: `Resident memory and the proportional share (pages that several processes map count as a part only), as the kernel
tells in \`smaps_rollup\`, of processes that have waited for ${FULL.idleMs / 1000} s: after one job for each runner, and again after ${FULL.jobs} jobs. The Docker
runner keeps one warm container, whose memory is not counted. The guard is the runner's second process. The yardstick is a
bare \`node:http\` server in the same Node.`,
  needsDocker: true,
  run,
};

interface Subject {
  readonly name: string;
  readonly measure: () => Promise<Memory>;
}

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const plan = quick ? QUICK : FULL;
  const stage = await Stage.open(resources);
  const bare = startProcess(
    {
      name: "the bare server",
      command: process.execPath,
      args: ["-e", BARE_PROGRAM],
      logFile: join(stage.folder, "bare.log"),
    },
    resources,
  );
  const docker = await stage.runner({ label: "bench-docker", docker: { image: sandboxImage(), warm: 1 } });
  const host = await stage.runner({ label: "bench-host", docker: null });
  const subjects: Subject[] = [
    { name: "control plane", measure: () => memoryOf(stage.plane.process.pid) },
    ...subjectsOf("runner, Docker sandbox", docker),
    ...subjectsOf("runner, host sandbox", host),
    { name: "bare node:http server", measure: () => memoryOf(bare.pid) },
  ];
  const rounds: Memory[][] = [];
  for (const jobs of [1, plan.jobs]) {
    say(`${jobs} jobs, then ${plan.idleMs / 1000} s of rest`);
    for (const label of ["bench-docker", "bench-host"]) {
      const definitionId = await stage.define(label, ["echo hello"]);
      for (let count = 0; count < jobs; count += 1) {
        stop.throwIfAborted();
        await stage.reader.untilOver(await stage.reader.fire(definitionId));
      }
    }
    await sleep(plan.idleMs, undefined, { signal: stop });
    rounds.push(await Promise.all(subjects.map(({ measure }) => measure())));
  }
  return report(subjects, rounds);
}

function subjectsOf(name: string, runner: Runner): Subject[] {
  const { pid } = runner.process;
  const guard = async () => {
    const children = (await processTree(pid)).slice(1);
    const memories = await Promise.all(children.map((id) => memoryOf(id)));
    return memories.reduce(sum, { residentBytes: 0, proportionalBytes: 0 });
  };
  return [
    { name, measure: () => memoryOf(pid) },
    { name: `its guard`, measure: guard },
    { name: "both", measure: async () => sum(await memoryOf(pid), await guard()) },
  ];
}

function sum(left: Memory, right: Memory): Memory {
  return {
    residentBytes: left.residentBytes + right.residentBytes,
    proportionalBytes: left.proportionalBytes + right.proportionalBytes,
  };
}

function report(subjects: readonly Subject[], rounds: readonly Memory[][]): BenchReport {
  const [fresh = [], used = []] = rounds;
  const mib = (bytes: number) => (bytes / MIB).toFixed(0);
  const bare = used.at(-1)?.residentBytes ?? Number.NaN;
  const row = ({ name }: Subject, index: number) => {
    const memories = [fresh[index] as Memory, used[index] as Memory];
    const figures = memories.flatMap(({ residentBytes, proportionalBytes }) => [residentBytes, proportionalBytes]);
    return [name, ...figures.map(mib), ((used[index] as Memory).residentBytes / bare).toFixed(2)];
  };
  return {
    tables: [
      {
        header: ["MiB", "resident, fresh", "proportional, fresh", "resident, used", "proportional, used", "÷ bare"],
        rows: subjects.map(row),
      },
    ],
    aims: [
      {
        what: "idle control plane, resident, MiB",
        measured: (fresh[0] as Memory).residentBytes / MIB,
        bound: { atMost: AIM_PLANE_MIB },
      },
    ],
    notes: ["Fresh is after one job for each runner. The last column divides the resident memory of used processes."],
  };
}
