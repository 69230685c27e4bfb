import { setTimeout as sleep } from "node:timers/promises";
import { runsReplySchema } from "@shipfox/shared/api/runs";
import { ControlPlane } from "../src/control-plane.ts";
import { Instance, type ProjectHandle, workflow } from "../src/instance.ts";
import type { RunnerOptions, Runner } from "../src/runner.ts";
import type { Stage } from "../src/stage.ts";
import { type Account, auditLeases, auditRuns, leftBehind } from "./audit.ts";
import { Killer, type Kills } from "./killer.ts";
import type { SoakOptions } from "./options.ts";

/** A job of about two seconds, so that many are hit while they print. */
const LINES = 20;
const SECONDS_BETWEEN_LINES = 0.1;
const RUNNERS = 3;
const CONCURRENCY = { host: 4, docker: 2 };
/** More than the runners take at once, so that jobs also wait. */
const OPEN_RUNS = 20;
const LOOK_EVERY_MS = 500;
const PROGRESS_EVERY_MS = 10_000;
/** Longer than the longest back-off and a lost lease together; then something hangs. */
const STANDSTILL_LIMIT_MS = 180_000;
/** Less than the token of an account lives. */
const SIGN_IN_EVERY_MS = 300_000;
const PAGE = 100;

export interface SoakReport extends Account {
  readonly options: SoakOptions;
  readonly runs: number;
  readonly kills: Kills;
  readonly seconds: number;
}

const COUNT = workflow(
  "Count",
  `  count:
    checkout: false
    steps:
      - run: for i in $(seq 1 ${LINES}); do printf 'line %04d\\n' "$i"; sleep ${SECONDS_BETWEEN_LINES}; done
`,
);

export interface SoakContext {
  /** Gets a line of progress now and then. */
  readonly say: (line: string) => void;
  readonly stop?: AbortSignal;
}

/** The whole soak. What it starts ends with the stage. Rejects when it is stopped or when nothing moves any more. */
export async function soak(stage: Stage, options: SoakOptions, { say, stop }: SoakContext): Promise<SoakReport> {
  const started = performance.now();
  const plane = await ControlPlane.start(stage);
  const instance = await Instance.create(stage, plane);
  const project = await instance.project({ "count.yml": COUNT });
  const runners = await Promise.all(sandboxes(options).map((sandbox, index) => startRunner(instance, sandbox, index)));
  say(`${options.runs} runs on ${sandboxes(options).join(", ")}; seed ${options.seed}`);

  const killer = new Killer(options.seed, plane, runners);
  const work = new Work(instance, project, options.runs, say);
  let runIds: string[];
  try {
    runIds = await work.done(() => killer.kills, stop);
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
    ...account,
    doubled: [...account.doubled, ...auditLeases(plane)],
    leftBehind: left,
    options,
    runs: runIds.length,
    kills: killer.kills,
    seconds: (performance.now() - started) / 1_000,
  };
}

function sandboxes({ sandbox }: SoakOptions): ("host" | "docker")[] {
  return Array.from({ length: RUNNERS }, (_, index) => {
    if (sandbox === "mixed") return index === 0 ? "docker" : "host";
    return sandbox;
  });
}

function startRunner(instance: Instance, sandbox: "host" | "docker", index: number): Promise<Runner> {
  const options: Partial<RunnerOptions> = {
    sandbox,
    name: `runner-${index + 1}`,
    env: { SHIPFOX_RUNNER_CONCURRENCY: String(CONCURRENCY[sandbox]) },
  };
  return instance.runner(options);
}

/** Keeps some runs open until enough were started and all are over. */
class Work {
  readonly #instance: Instance;
  readonly #project: ProjectHandle;
  readonly #runs: number;
  readonly #say: (line: string) => void;
  #started = 0;
  #over = 0;
  #movedAt = performance.now();
  #saidAt = 0;
  #signedInAt = performance.now();

  constructor(instance: Instance, project: ProjectHandle, runs: number, say: (line: string) => void) {
    this.#instance = instance;
    this.#project = project;
    this.#runs = runs;
    this.#say = say;
  }

  /** The ids of all runs. More than asked for when the answer to a start was lost: such a run must end like any other. */
  async done(kills: () => Kills, stop?: AbortSignal): Promise<string[]> {
    for (;;) {
      stop?.throwIfAborted();
      // While the control plane is down nothing is known; the next look is soon.
      const counts = await this.#look().catch(() => null);
      if (counts !== null) {
        if (counts.over > this.#over) this.#movedAt = performance.now();
        this.#over = counts.over;
        this.#progress(kills());
        if (this.#started >= this.#runs && counts.open === 0) return this.#allRuns();
        await this.#fill(OPEN_RUNS - counts.open);
      }
      if (performance.now() - this.#movedAt > STANDSTILL_LIMIT_MS)
        throw new Error(`no run ended for ${STANDSTILL_LIMIT_MS / 1_000} s; ${this.#over} are over`);
      await sleep(LOOK_EVERY_MS);
    }
  }

  async #fill(places: number): Promise<void> {
    for (let free = places; free > 0 && this.#started < this.#runs; free -= 1) {
      const answered = await this.#instance.fire(this.#project, "Count").then(
        () => true,
        () => false,
      );
      if (!answered) return;
      this.#started += 1;
    }
  }

  async #look(): Promise<{ open: number; over: number }> {
    if (performance.now() - this.#signedInAt > SIGN_IN_EVERY_MS) {
      await this.#instance.signInAgain();
      this.#signedInAt = performance.now();
    }
    return await this.#counts();
  }

  async #counts(): Promise<{ open: number; over: number }> {
    const count = async (filter: string) => (await this.#page(`&limit=1${filter}`)).filtered_total_count ?? Number.NaN;
    const [all, pending, running] = await Promise.all([count(""), count("&status=pending"), count("&status=running")]);
    return { open: pending + running, over: all - pending - running };
  }

  async #allRuns(): Promise<string[]> {
    const ids: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await this.#page(`&limit=${PAGE}${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`);
      ids.push(...page.runs.map(({ id }) => id));
      cursor = page.next_cursor;
    } while (cursor !== null);
    return ids;
  }

  #page(query: string) {
    return this.#instance.api.get(runsReplySchema, `/workflows/runs?project_id=${this.#project.id}${query}`);
  }

  #progress({ runner, controlPlane, everything }: Kills): void {
    if (performance.now() - this.#saidAt < PROGRESS_EVERY_MS) return;
    this.#saidAt = performance.now();
    this.#say(
      `${this.#over} of ${this.#runs} runs are over; killed: runner ${runner}, control plane ${controlPlane}, all ${everything}`,
    );
  }
}
