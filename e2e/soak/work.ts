import { setTimeout as sleep } from "node:timers/promises";
import { runsReplySchema } from "@shipfox/shared/api/runs";
import { type Instance, type ProjectHandle, workflow } from "../src/instance.ts";

/** A job of about two seconds, so that many are hit while they print. */
export const LINES = 20;
const SECONDS_BETWEEN_LINES = 0.1;
/** More than the runners take at once, so that jobs also wait. */
const OPEN_RUNS = 20;
const LOOK_EVERY_MS = 500;
const PROGRESS_EVERY_MS = 10_000;
/** Longer than the longest back-off and a lost lease together; then something hangs. */
const STANDSTILL_LIMIT_MS = 180_000;
/** Less than the token of an account lives. */
const SIGN_IN_EVERY_MS = 300_000;
const PAGE = 100;

const COUNT = workflow(
  "Count",
  `  count:
    checkout: false
    steps:
      - run: for i in $(seq 1 ${LINES}); do printf 'line %04d\\n' "$i"; sleep ${SECONDS_BETWEEN_LINES}; done
`,
);

export interface WorkOptions {
  readonly runs: number;
  /** Gets a line of progress now and then, with what `detail` adds to it. */
  readonly say: (line: string) => void;
  readonly detail: () => string;
}

/** Keeps some runs open until enough were started and all are over. */
export class Work {
  readonly #instance: Instance;
  readonly #project: ProjectHandle;
  readonly #options: WorkOptions;
  #started = 0;
  #over = 0;
  #movedAt = performance.now();
  #saidAt = 0;
  #signedInAt = performance.now();

  private constructor(instance: Instance, project: ProjectHandle, options: WorkOptions) {
    this.#instance = instance;
    this.#project = project;
    this.#options = options;
  }

  /** Runs that were over at the last look. */
  get over(): number {
    return this.#over;
  }

  static async prepare(instance: Instance, options: WorkOptions): Promise<Work> {
    return new Work(instance, await instance.project({ "count.yml": COUNT }), options);
  }

  /**
   * The ids of all runs. More than asked for when the answer to a start was lost: such a run must end like any other. Rejects
   * when it is stopped or when nothing moves any more.
   */
  async done(stop: AbortSignal): Promise<string[]> {
    for (;;) {
      stop.throwIfAborted();
      // While the control plane is down nothing is known; the next look is soon.
      const counts = await this.#look().catch(() => null);
      if (counts !== null) {
        if (counts.over > this.#over) this.#movedAt = performance.now();
        this.#over = counts.over;
        this.#progress();
        if (this.#started >= this.#options.runs && counts.open === 0) return this.#allRuns();
        await this.#fill(OPEN_RUNS - counts.open);
      }
      if (performance.now() - this.#movedAt > STANDSTILL_LIMIT_MS)
        throw new Error(`no run ended for ${STANDSTILL_LIMIT_MS / 1_000} s; ${this.#over} are over`);
      await sleep(LOOK_EVERY_MS);
    }
  }

  async #fill(places: number): Promise<void> {
    for (let free = places; free > 0 && this.#started < this.#options.runs; free -= 1) {
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

  #progress(): void {
    if (performance.now() - this.#saidAt < PROGRESS_EVERY_MS) return;
    this.#saidAt = performance.now();
    const { runs, say, detail } = this.#options;
    say(`${this.#over} of ${runs} runs are over; ${detail()}`);
  }
}
