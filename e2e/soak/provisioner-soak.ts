import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { Instance } from "../src/instance.ts";
import { MachineProvider } from "../src/machines/machine-provider.ts";
import { Provisioner } from "../src/provisioner.ts";
import type { Stage } from "../src/stage.ts";
import { auditMachines, countReservations } from "./audit-machines.ts";
import { auditLeases, auditRuns } from "./audit.ts";
import { describeKills, Killer, type Pick } from "./killer.ts";
import type { SoakOptions } from "./options.ts";
import { ProviderWeather } from "./provider-weather.ts";
import type { SoakContext, SoakReport } from "./report.ts";
import { LINES, Work } from "./work.ts";

/** Runners kept ready: they are still there when all work is done. */
const IDLE = 1;
/** Of both templates together: a few machines more than two processors like to have. A long soak waits less with more of them. */
const ROOM = { short: [4, 2], long: [8, 4] } as const;
const templates = ([first, second]: readonly [number, number]) => `
limits: { max_creations_per_hour: 100000, max_deletions_per_minute: 600 }
defaults: { labels: [linux], boot_timeout: 2m, idle_timeout: 1m }
templates:
  first: { max_concurrency: ${first}, preference: 1, idle: ${IDLE}, fallback: second }
  second: { max_concurrency: ${second}, preference: 2 }
`;
/** Longer than that of the other soak: here no lease may end that nobody broke, however busy this machine is. */
const TIMES = {
  SHIPFOX_LEASE_TERM_MS: "15000",
  SHIPFOX_HEARTBEAT_INTERVAL_MS: "2000",
  SHIPFOX_CANCEL_LIMIT_MS: "5000",
  SHIPFOX_RETRY_AVOID_MS: "1000",
  SHIPFOX_LOG_TAIL_MS: "20000",
};
/** A machine that vanished, and one that hangs at its start, are noticed after two minutes: a short soak does without. */
const LONG_RUNS = 100;
/** A machine that vanished, a reservation, and the longest pause of a provisioner are over by then. */
const REST_LIMIT_MS = 300_000;

/**
 * The soak of provisioned runners, each job on a machine of its own, at a provider that misbehaves. What it starts ends with the
 * stage. Rejects when it is stopped, when nothing moves any more, and when it does not come to rest.
 */
export async function provisionerSoak(
  stage: Stage,
  options: SoakOptions,
  { say, stop }: SoakContext,
): Promise<SoakReport> {
  const started = performance.now();
  const plane = await ControlPlane.start(stage, { times: TIMES });
  const instance = await Instance.create(stage, plane);
  const provider = await MachineProvider.start(stage);
  const detail = () => `machines made ${provider.history.length}, ${describeKills(killer.kills)}`;
  const work = await Work.prepare(instance, { runs: options.runs, say, detail });
  const hasSlowFaults = options.runs >= LONG_RUNS;
  const weather = new ProviderWeather(provider, { seed: options.seed, hasSlowFaults });
  const room = options.runs >= LONG_RUNS ? ROOM.long : ROOM.short;
  const provisioner = await Provisioner.launch(stage, instance, `provider: ${provider.section}${templates(room)}`);
  say(`${options.runs} runs, each on a machine of its own; seed ${options.seed}`);

  const killer = startKiller(options.seed, { plane, provisioner, provider, work, hasSlowFaults });
  let runIds: string[];
  try {
    runIds = await work.done(stop ? AbortSignal.any([stop, killer.broken]) : killer.broken);
  } finally {
    await killer.stop();
  }
  weather.clear();
  say(`all runs are over, ${provider.machines.size} machines are left; waiting until all is at rest`);
  await instance.signInAgain();
  await atRest(instance, provider);
  await provisioner.drain();
  say("all machines are drained; counting");
  const account = await auditRuns(instance, runIds, LINES);
  await plane.stop();
  const machines = await auditMachines(plane, provider);
  return {
    runs: runIds.length,
    facts: [
      ...Object.entries(killer.kills),
      ...Object.entries(weather.counts).map(([what, count]) => [`${what} that went wrong`, count] as const),
      ["machines", provider.history.length],
      ["executions", account.executions],
    ],
    findings: {
      lost: account.lost,
      doubled: [...account.doubled, ...auditLeases(plane), ...machines.doubled],
      "killed while busy": machines.killed,
      leaked: machines.leaked,
    },
    seconds: (performance.now() - started) / 1_000,
    options,
  };
}

interface Parts {
  readonly plane: ControlPlane;
  readonly provisioner: Provisioner;
  readonly provider: MachineProvider;
  readonly work: Work;
  readonly hasSlowFaults: boolean;
}

function startKiller(seed: number, { plane, provisioner, provider, work, hasSlowFaults }: Parts) {
  const running = () => [...provider.machines.values()].filter(({ isRunning }) => isRunning);
  const victims = (pick: Pick) => pick(running());
  const vanishing = (pick: Pick) => victims(pick).map((machine) => ({ kill9: () => provider.lose(machine) }));
  const runners = hasSlowFaults
    ? [
        { kind: "runner killed", share: 0.45, victims },
        { kind: "machine vanished", share: 0.05, victims: vanishing },
      ]
    : [{ kind: "runner killed", share: 0.5, victims }];
  return new Killer(seed, {
    strikes: [
      { kind: "provisioner killed", share: 0.3, victims: () => [provisioner] },
      { kind: "control plane killed", share: 0.15, victims: () => [plane] },
      ...runners,
      { kind: "all of them killed at once", share: 0.05, victims: () => [plane, provisioner, ...running()] },
    ],
    openings: ["runner killed", "provisioner killed", "control plane killed"],
    // On a busy machine a runner takes so long to boot that otherwise none would ever finish a job.
    mayStrike: (strikes) => strikes <= work.over,
  });
}

/** Only the idle pool is there: at the provider and in the records. Without a drain, which may find what was forgotten. */
async function atRest(instance: Instance, provider: MachineProvider): Promise<void> {
  const { workspaceId, plane } = instance;
  await eventually(
    "only the idle pool is left",
    async () => {
      const { runner_instances: open } = await instance.api.client.provisioners.instances({ workspaceId, open: true });
      const reservations = countReservations(plane);
      if (open.length === IDLE && provider.machines.size === IDLE && reservations === 0) return true;
      const machines = [...provider.machines.values()].map(({ providerId, order }) => [
        providerId,
        order.tags.instance,
      ]);
      throw new Error(JSON.stringify({ open, machines, reservations }));
    },
    { limitMs: REST_LIMIT_MS },
  );
}
