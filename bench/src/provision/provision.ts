import { join } from "node:path";
import type { RunnerInstance } from "@shipfox/shared/api/provisioners";
import type { RunDetail } from "@shipfox/shared/api/runs";
import Docker from "dockerode";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { Provisioner } from "../provisioner.ts";
import { freePort } from "../server-process.ts";
import { Stage } from "../stage.ts";
import { median, quantile, ratios, rotated, spread } from "../statistics.ts";
import { MACHINE, PeakOfContainers, RunnerContainers, runnerImage } from "./runner-containers.ts";

const FULL = { rounds: 30, warmUpRounds: 2, bursts: 3 };
const QUICK = { rounds: 1, warmUpRounds: 1, bursts: 1 };
const BURST_JOBS = 20;
const QUICK_BURST_JOBS = 6;
const AT_ONCE = 5;
const COMMAND = "true";
const AIM_COLD_P95_MS = 3_000;
const AIM_READY_P95_MS = 300;
const AIM_OF_BARE = 2;
const AIM_OF_WAVES = 2;

export const provision: Bench = {
  name: "provision",
  title: "Machines on demand",
  about: `The real provisioner with its Docker driver, settings as they are by default; a machine has ${MACHINE.cpus} processor. From the
moment when a job is queued to its claim by the runner of a machine made for it, as the control plane recorded both: from
zero, and with an idle pool of one (\`idle: 1\`). Before each sample the machine of the last one is gone and the pool is full. The
yardstick is the same container bare, created and started through the Engine API until its runner has printed its version. Then
${BURST_JOBS} jobs at once with \`max_concurrency: ${AT_ONCE}\`, from the first request until all runs are over; beside it ${BURST_JOBS / AT_ONCE} waves, one after
another, of ${AT_ONCE} bare containers that print the version and are removed. Rounds interleaved in rotating order.`,
  needsDocker: true,
  run,
};

/** Milliseconds. */
interface Sample {
  readonly toRecord: number;
  readonly toRegistration: number;
  readonly toClaim: number;
}

type Template = "zero" | "ready" | "burst";

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const plan = quick ? QUICK : FULL;
  const jobs = quick ? QUICK_BURST_JOBS : BURST_JOBS;
  const pool = await Pool.open(resources);
  const samples = { zero: [] as Sample[], ready: [] as Sample[], bare: [] as number[] };
  const ways = [
    async () => void samples.zero.push(await pool.sample("zero")),
    async () => void samples.ready.push(await pool.sample("ready")),
    async () => void samples.bare.push((await pool.containers.bare()).firstByte),
  ];
  for (let round = 0; round < plan.warmUpRounds; round += 1) for (const way of ways) await way();
  for (const taken of Object.values(samples)) taken.length = 0;
  for (let round = 0; round < plan.rounds; round += 1) {
    for (const way of rotated(ways, round)) {
      stop.throwIfAborted();
      await way();
    }
    const [zero, ready, bare] = [samples.zero.at(-1)?.toClaim, samples.ready.at(-1)?.toClaim, samples.bare.at(-1)];
    say(`round ${round + 1} of ${plan.rounds}, ms: from zero ${zero}, ready ${ready}, bare ${bare?.toFixed(0)}`);
  }
  const bursts: { ours: number; bare: number; peak: number }[] = [];
  for (let round = 0; round < plan.bursts; round += 1) {
    stop.throwIfAborted();
    const burst = { ...(await pool.burst(jobs)), bare: await pool.bareWaves(jobs) };
    bursts.push(burst);
    const [ours, bare] = [burst.ours, burst.bare].map((ms) => (ms / 1000).toFixed(1));
    say(`${jobs} jobs: ${ours} s, at most ${burst.peak} machines; bare waves ${bare} s`);
  }
  return report(samples, bursts, jobs);
}

/** A control plane, a provisioner with a template for each way, and a definition for each template. */
class Pool {
  readonly containers: RunnerContainers;
  readonly #stage: Stage;
  readonly #provisioner: Provisioner;
  readonly #definitions: Readonly<Record<Template, string>>;
  readonly #peak: PeakOfContainers;

  private constructor(parts: {
    containers: RunnerContainers;
    stage: Stage;
    provisioner: Provisioner;
    definitions: Readonly<Record<Template, string>>;
    peak: PeakOfContainers;
  }) {
    this.containers = parts.containers;
    this.#stage = parts.stage;
    this.#provisioner = parts.provisioner;
    this.#definitions = parts.definitions;
    this.#peak = parts.peak;
  }

  static async open(resources: AsyncDisposableStack): Promise<Pool> {
    const docker = new Docker();
    const image = await runnerImage();
    const containers = new RunnerContainers(docker, image, resources);
    const peak = await PeakOfContainers.watch(docker, image, resources);
    const { gateway } = containers;
    const port = await freePort();
    const stage = await Stage.open(resources, { settings: { SHIPFOX_ALSO_LISTEN: `${gateway}:${port}` } });
    const templates = templatesFile(containers, image, `http://${gateway}:${port}`);
    const folder = join(stage.folder, "provisioner");
    const provisioner = await Provisioner.start(stage.client, stage.plane, folder, templates, resources);
    const define = (label: Template) => stage.define(label, [COMMAND]);
    const definitions = { zero: await define("zero"), ready: await define("ready"), burst: await define("burst") };
    return new Pool({ containers, stage, provisioner, definitions, peak });
  }

  /** One job, from a state of rest. */
  async sample(template: Template): Promise<Sample> {
    await this.#untilAtRest();
    const detail = await this.#stage.reader.untilOver(await this.#stage.reader.fire(this.#definitions[template]));
    const { runnerId, queuedAt, claimedAt } = claimOf(detail);
    const instances = await this.#provisioner.instances("latest");
    const instance = instances.find(({ runner_id: id }) => id === runnerId);
    if (!instance) throw new Error("the job did not run on a machine of the provisioner");
    return {
      toRecord: Date.parse(instance.created_at) - queuedAt,
      toRegistration: Date.parse(instance.registered_at ?? "") - queuedAt,
      toClaim: claimedAt - queuedAt,
    };
  }

  /** From the first request until all runs are over, in milliseconds. */
  async burst(jobs: number): Promise<{ ours: number; peak: number }> {
    await this.#untilAtRest();
    this.#peak.take();
    const { reader } = this.#stage;
    const startedAt = performance.now();
    const runs = await Promise.all(Array.from({ length: jobs }, () => reader.fire(this.#definitions.burst)));
    for (const id of runs) {
      const { status } = await reader.untilOver(id);
      if (status !== "succeeded") throw new Error(`the run ${id} ended as ${status}`);
    }
    const ours = performance.now() - startedAt;
    // The one of the idle pool ran all the time.
    return { ours, peak: this.#peak.take() - 1 };
  }

  async bareWaves(jobs: number): Promise<number> {
    await this.#untilAtRest();
    const startedAt = performance.now();
    for (let left = jobs; left > 0; left -= AT_ONCE)
      await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, () => this.containers.bare()));
    return performance.now() - startedAt;
  }

  /** Nothing there but the idle pool's one runner. */
  async #untilAtRest(): Promise<void> {
    const isReady = (one: RunnerInstance | undefined) =>
      one?.template_key === "ready" && one.registered_at !== null && !one.claimed;
    await this.#provisioner.until(
      "only the idle runner is there",
      async (open) => open.length === 1 && isReady(open[0]) && (await this.containers.ours()).length === 1,
    );
  }
}

function claimOf({ jobs }: RunDetail): { runnerId: string; queuedAt: number; claimedAt: number } {
  const execution = jobs[0]?.job_executions[0];
  const { runner_id: runnerId, queued_at: queuedAt, started_at: claimedAt, status } = execution ?? {};
  if (status !== "succeeded" || !runnerId || !queuedAt || !claimedAt) throw new Error(`the job ended as ${status}`);
  return { runnerId, queuedAt: Date.parse(queuedAt), claimedAt: Date.parse(claimedAt) };
}

function templatesFile({ network, subnet }: RunnerContainers, image: string, apiUrl: string): string {
  const machine = { image, cpus: MACHINE.cpus, memory_mib: MACHINE.memoryMib, pids: MACHINE.pids };
  const template = (label: Template, more: object = {}) => ({
    labels: [label],
    max_concurrency: AT_ONCE,
    // What nobody needs after a burst is soon gone.
    idle_timeout: "10s",
    machine,
    ...more,
  });
  // JSON is YAML.
  return JSON.stringify({
    pool: "bench",
    provider: { kind: "docker", network, subnet },
    runner_api_url: apiUrl,
    templates: { zero: template("zero"), ready: template("ready", { idle: 1 }), burst: template("burst") },
  });
}

function report(
  { zero, ready, bare }: { zero: readonly Sample[]; ready: readonly Sample[]; bare: readonly number[] },
  bursts: readonly { ours: number; bare: number; peak: number }[],
  jobs: number,
): BenchReport {
  const claims = (samples: readonly Sample[]) => samples.map(({ toClaim }) => toClaim);
  const overBare = (samples: readonly number[]) => median(samples) / median(bare);
  const row = (name: string, samples: readonly number[]) => [
    name,
    String(samples.length),
    ...[0, 0.5, 0.95, 1].map((share) => quantile(samples, share).toFixed(0)),
    overBare(samples).toFixed(2),
  ];
  const seconds = (milliseconds: readonly number[]) => milliseconds.map((value) => value / 1000);
  const [ours, waves] = [bursts.map((one) => one.ours), bursts.map((one) => one.bare)];
  const overWaves = ratios(ours, waves);
  const most = Math.max(...bursts.map(({ peak }) => peak));
  return {
    tables: [
      {
        header: ["queued to claimed, ms", "n", "min", "p50", "p95", "max", "p50 ÷ bare p50"],
        rows: [
          row("from zero", claims(zero)),
          row(
            "of it until the instance is recorded",
            zero.map(({ toRecord }) => toRecord),
          ),
          row(
            "until its runner has registered",
            zero.map(({ toRegistration }) => toRegistration),
          ),
          row("idle pool of 1", claims(ready)),
          row("bare container until the runner's version", bare),
        ],
      },
      {
        header: [
          `${jobs} jobs, ${AT_ONCE} at once`,
          "s, median (min–max)",
          "÷ bare waves",
          "machines at once, at most",
        ],
        rows: [
          ["Shipfox", spread(seconds(ours), 1), spread(overWaves, 2), String(most)],
          ["bare waves", spread(seconds(waves), 1), "1.00", String(AT_ONCE)],
        ],
      },
    ],
    aims: [
      { what: "from zero, p95, ms", measured: quantile(claims(zero), 0.95), bound: { atMost: AIM_COLD_P95_MS } },
      { what: "idle pool of 1, p95, ms", measured: quantile(claims(ready), 0.95), bound: { atMost: AIM_READY_P95_MS } },
      { what: "from zero p50 ÷ bare container p50", measured: overBare(claims(zero)), bound: { atMost: AIM_OF_BARE } },
      { what: `${jobs} jobs ÷ bare waves`, measured: median(overWaves), bound: { atMost: AIM_OF_WAVES } },
      { what: "machines at once, at most", measured: most, bound: { atMost: AT_ONCE } },
    ],
    notes: [
      "A bare container has read and compiled the whole program when it prints the version; then ours starts its guard, registers and claims.",
      `The command is \`${COMMAND}\`; the host sandbox of the machine runs it as another user.`,
    ],
  };
}
