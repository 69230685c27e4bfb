import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { JsonClient } from "../json-client.ts";
import { Provisioner } from "../provisioner.ts";
import { Stage } from "../stage.ts";
import { type Chart, renderAreaChart } from "./area-chart.ts";
import { type LoadProfile, targetAt, turnsOf } from "./load-profile.ts";
import { BOOT_MS } from "./simulated-machine.ts";
import { SimulatedProvider } from "./simulated-provider.ts";

const FULL: LoadProfile = { peak: 200, phaseMs: 45_000 };
const QUICK: LoadProfile = { peak: 10, phaseMs: 4_000 };
const IDLE = 10;
const QUICK_IDLE = 2;
const SAMPLE_MS = 250;
const END_TIMEOUT_MS = 180_000;
const SHARE_OF_NOISE = 0.1;
const AIM_TURNS = 1;
const AIM_OF_BOOT = 3;
const CHART_FILE = fileURLToPath(import.meta.resolve("../../../docs/provisioner-scale.svg"));

export const scale: Bench = {
  name: "scale",
  title: "From zero to 200 machines and back",
  about: `The real control plane and the real provisioner, settings as they are by default, over the \`command\` driver; the provider is
simulated: its machines are objects of the benchmark's process that speak the runner's real protocol. A machine boots in ${BOOT_MS} ms, takes
one job of 8 to 16 s, signs off and is over. Open jobs rise from 0 to ${FULL.peak} within ${FULL.phaseMs / 1000} s, stay, and fall to 0; a job that ends is followed by
another as long as the profile asks for one. The template keeps ${IDLE} idle runners and may have ${roomFor(FULL.peak)} machines. A turn is a change of
direction of the number of machines by more than ${SHARE_OF_NOISE * 100} % of the most; a curve that rises and falls once has one.
\`docs/provisioner-scale.svg\` is drawn from it.`,
  needsDocker: false,
  run,
};

interface Sample {
  readonly atMs: number;
  readonly open: number;
  readonly starting: number;
  readonly idle: number;
  readonly busy: number;
}

function roomFor(peak: number): number {
  return Math.ceil(peak * 1.5);
}

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const [profile, idle] = quick ? [QUICK, QUICK_IDLE] : [FULL, IDLE];
  const stage = await Stage.open(resources);
  const client = resources.adopt(new JsonClient(stage.plane.url, 2 * roomFor(profile.peak)), (open) => open.close());
  const definitionId = await stage.define("scale", ["true"]);
  let jobs = 0;
  let done = 0;
  const folder = join(stage.folder, "provider");
  await mkdir(folder, { mode: 0o755 });
  const provider = await SimulatedProvider.start(folder, client, () => (done += 1), resources);
  const templates = templatesFile(provider.program, stage.plane.url, roomFor(profile.peak), idle);
  const provisioner = await Provisioner.start(
    stage.client,
    stage.plane,
    join(stage.folder, "provisioner"),
    templates,
    resources,
  );
  const pool = () => [...provider.machines.values()];
  await provisioner.until(
    "the idle pool is full",
    () => pool().filter(({ phase }) => phase === "idle").length === idle,
  );

  const samples: Sample[] = [];
  const startedAt = performance.now();
  const fire = async () => {
    jobs += 1;
    const path = `/workflow-definitions/${definitionId}/fire-manual`;
    await client.call("POST", path, { token: stage.plane.token, body: {} });
  };
  for (;;) {
    stop.throwIfAborted();
    const atMs = performance.now() - startedAt;
    const count = (wanted: string) => pool().filter(({ phase }) => phase === wanted).length;
    samples.push({ atMs, open: jobs - done, starting: count("starting"), idle: count("idle"), busy: count("busy") });
    if (samples.length % (5_000 / SAMPLE_MS) === 0) {
      const { open, starting, idle: waiting, busy } = samples.at(-1) as Sample;
      say(`${Math.round(atMs / 1000)} s: ${open} jobs; machines: ${starting} start, ${waiting} idle, ${busy} busy`);
    }
    const isOver = atMs > 3 * profile.phaseMs;
    if (isOver && jobs === done && provider.machines.size === idle && count("idle") === idle) break;
    if (atMs > 3 * profile.phaseMs + END_TIMEOUT_MS) {
      const log = await provisioner.process.logTail();
      throw new Error(
        `${jobs - done} jobs and ${provider.machines.size} machines were left. The log ends with:\n${log}`,
      );
    }
    const missing = Math.max(0, targetAt(profile, atMs) - (jobs - done));
    await Promise.all([...Array.from({ length: missing }, fire), sleep(SAMPLE_MS)]);
  }
  if (provider.faults.length > 0) throw new Error(`machines with a job went wrong: ${provider.faults.join("; ")}`);
  const chart = renderAreaChart(chartOf(samples));
  if (!quick) await writeFile(CHART_FILE, chart);
  return report(samples, { jobs, idle, created: provider.created, unused: provider.unused, peak: profile.peak });
}

function templatesFile(program: string, apiUrl: string, most: number, idle: number): string {
  // JSON is YAML.
  return JSON.stringify({
    pool: "bench",
    provider: { kind: "command", command: [program] },
    runner_api_url: apiUrl,
    limits: { max_instances: most, max_creations_per_hour: 100_000 },
    templates: { simulated: { labels: ["scale"], max_concurrency: most, idle } },
  });
}

function chartOf(samples: readonly Sample[]): Chart {
  const of = (key: keyof Sample) => samples.map((sample) => sample[key]);
  const most = Math.max(...samples.map(({ open }) => open));
  return {
    title: `From zero to ${most} machines and back`,
    description: `Open jobs rise to ${most}, stay and fall; busy machines follow them, and the idle pool stays ready.`,
    seconds: samples.map(({ atMs }) => atMs / 1000),
    areas: [
      { name: "busy", colour: { light: "#2da44e", dark: "#3fb950" }, values: of("busy") },
      { name: "idle", colour: { light: "#8c959f", dark: "#6e7681" }, values: of("idle") },
      { name: "starting", colour: { light: "#d4a72c", dark: "#d29922" }, values: of("starting") },
    ],
    line: { name: "open jobs", colour: { light: "#0969da", dark: "#58a6ff" }, values: of("open") },
    axes: { x: "seconds", y: "machines, jobs" },
  };
}

function report(
  samples: readonly Sample[],
  counted: { jobs: number; idle: number; created: number; unused: number; peak: number },
): BenchReport {
  const { jobs, idle, created, unused, peak } = counted;
  const machines = samples.map((sample) => sample.starting + sample.idle + sample.busy);
  const most = Math.max(...machines);
  const turns = turnsOf(machines, most * SHARE_OF_NOISE);
  const surplus = Math.max(...samples.map(({ open }, index) => (machines[index] ?? 0) - open - idle));
  const wait = meanWaitMs(samples, jobs);
  const lastJobAt = samples.findLast(({ open }) => open > 0)?.atMs ?? 0;
  const settled = ((samples.at(-1)?.atMs ?? 0) - lastJobAt) / 1000;
  return {
    tables: [
      {
        header: ["", "measured"],
        rows: [
          ["jobs", String(jobs)],
          ["most jobs open", String(Math.max(...samples.map(({ open }) => open)))],
          ["machines made", String(created)],
          ["most machines at once", String(most)],
          ["most machines beyond open jobs and idle pool", String(Math.max(0, surplus))],
          ["mean wait of a job, ms", wait.toFixed(0)],
          ["from the last job's end until only the idle pool is there, s", settled.toFixed(1)],
        ],
      },
    ],
    aims: [
      { what: "machines made beyond jobs and idle pool", measured: created - jobs - idle, bound: { atMost: 0 } },
      { what: "machines removed without having had a job", measured: unused, bound: { atMost: 0 } },
      { what: "turns of the number of machines", measured: turns, bound: { atMost: AIM_TURNS } },
      { what: "most machines ÷ most jobs", measured: most / peak, bound: { atMost: 1 + idle / peak } },
      { what: "mean wait of a job ÷ boot of a machine", measured: wait / BOOT_MS, bound: { atMost: AIM_OF_BOOT } },
    ],
    notes: [
      "The mean wait is the time that all jobs waited together, out of the samples of open and busy, divided by their number (Little's law).",
      `A machine is over as soon as its job is; the provisioner removes it. Samples every ${SAMPLE_MS} ms.`,
    ],
  };
}

/** Jobs that wait, added up over the time, for each of all jobs. */
function meanWaitMs(samples: readonly Sample[], jobs: number): number {
  const waited = samples.reduce((sum, { atMs, open, busy }, index) => {
    const until = samples[index + 1]?.atMs ?? atMs;
    return sum + Math.max(0, open - busy) * (until - atMs);
  }, 0);
  return waited / jobs;
}
