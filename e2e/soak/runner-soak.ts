import { ControlPlane } from "../src/control-plane.ts";
import { Instance } from "../src/instance.ts";
import type { Runner } from "../src/runner.ts";
import type { Stage } from "../src/stage.ts";
import { auditLeases, auditRuns, leftBehind } from "./audit.ts";
import { describeKills, Killer } from "./killer.ts";
import type { RunnerSoakOptions } from "./options.ts";
import type { SoakContext, SoakReport } from "./report.ts";
import { LINES, Work } from "./work.ts";

const RUNNERS = 3;
const CONCURRENCY = { host: 4, docker: 2 };

/** The soak of standing runners. What it starts ends with the stage. Rejects when it is stopped or when nothing moves any more. */
export async function runnerSoak(
  stage: Stage,
  options: RunnerSoakOptions,
  { say, stop }: SoakContext,
): Promise<SoakReport> {
  const started = performance.now();
  const plane = await ControlPlane.start(stage);
  const instance = await Instance.create(stage, plane);
  const detail = () => describeKills(killer.kills);
  const work = await Work.prepare(instance, { runs: options.runs, say, detail });
  const runners = await Promise.all(sandboxes(options).map((sandbox, index) => startRunner(instance, sandbox, index)));
  say(`${options.runs} runs on ${sandboxes(options).join(", ")}; seed ${options.seed}`);

  const killer = startKiller(options.seed, plane, runners);
  let runIds: string[];
  try {
    runIds = await work.done(stop ? AbortSignal.any([stop, killer.broken]) : killer.broken);
  } finally {
    await killer.stop();
  }
  say("all runs are over; counting");
  await instance.signInAgain();
  const account = await auditRuns(instance, runIds, LINES);
  // Together they are stopped as one would stop a machine; each is looked at when all are gone.
  await Promise.all(runners.map((runner) => runner.child.stop()));
  await plane.stop();
  const left = (await Promise.all(runners.map(leftBehind))).flat();
  return {
    runs: runIds.length,
    facts: [["sandbox", options.sandbox], ...Object.entries(killer.kills), ["executions", account.executions]],
    findings: { lost: account.lost, doubled: [...account.doubled, ...auditLeases(plane)], "left behind": left },
    seconds: (performance.now() - started) / 1_000,
    options,
  };
}

function startKiller(seed: number, plane: ControlPlane, runners: readonly Runner[]) {
  return new Killer(seed, {
    strikes: [
      { kind: "runner killed", share: 0.7, victims: (pick) => pick(runners) },
      { kind: "control plane killed", share: 0.25, victims: () => [plane] },
      { kind: "all of them killed at once", share: 0.05, victims: () => [plane, ...runners] },
    ],
    openings: ["runner killed", "control plane killed"],
  });
}

function sandboxes({ sandbox }: RunnerSoakOptions): ("host" | "docker")[] {
  return Array.from({ length: RUNNERS }, (_, index) => {
    if (sandbox === "mixed") return index === 0 ? "docker" : "host";
    return sandbox;
  });
}

function startRunner(instance: Instance, sandbox: "host" | "docker", index: number): Promise<Runner> {
  return instance.runner({
    sandbox,
    name: `runner-${index + 1}`,
    env: { SHIPFOX_RUNNER_CONCURRENCY: String(CONCURRENCY[sandbox]) },
  });
}
