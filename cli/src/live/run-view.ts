import { type RunDetail, TERMINAL_STATUSES } from "@shipfox/shared/api/runs";
import type { FollowSink } from "../follow.ts";
import type { OutputEvent } from "../plan-output.ts";
import { plainText } from "../render/plain-text.ts";
import { renderRun } from "../render/run.ts";
import type { Terminal } from "../terminal.ts";
import { layoutRun } from "./layout.ts";
import { LogTails } from "./log-tails.ts";
import { Screen } from "./screen.ts";

const FRAME_MS = 200;

/** The run as a tree on the whole terminal, drawn anew while it goes on. After `close` its end stands where the command was typed. */
export class RunView implements FollowSink, Disposable {
  readonly #terminal: Terminal;
  readonly #screen: Screen;
  readonly #tails: LogTails;
  readonly #frames: NodeJS.Timeout;
  #run: RunDetail | null = null;
  #notice = "";

  constructor(terminal: Terminal, stream: NodeJS.WriteStream) {
    this.#terminal = terminal;
    this.#tails = new LogTails(terminal.colors);
    this.#screen = new Screen(stream, () => this.#draw());
    this.#screen.open();
    this.#frames = setInterval(() => this.#draw(), FRAME_MS);
  }

  look(run: RunDetail): void {
    this.#run = run;
    this.#notice = "";
    this.#draw();
  }

  /** Of what went well before anybody looked nothing is shown, so its log need not be read. */
  readonly accepts = (event: OutputEvent): boolean => {
    if (event.type !== "log") return true;
    const steps = this.#run?.jobs.flatMap((job) => job.job_executions).flatMap((execution) => execution.steps);
    const attempts = steps?.find(({ id }) => id === event.step_id)?.attempts;
    return attempts?.find(({ attempt }) => attempt === event.attempt)?.status !== "succeeded";
  };

  async event(event: OutputEvent): Promise<void> {
    const isOver = event.type === "step" && TERMINAL_STATUSES.has(event.status);
    if (isOver && event.status !== "failed") this.#tails.forget(event);
  }

  readonly records: FollowSink["records"] = async (log, records) => this.#tails.push(log, records);

  readonly logEnded: FollowSink["logEnded"] = async (log) => this.#tails.end(log);

  notice(text: string): void {
    this.#notice = text;
    this.#draw();
  }

  /** Gives the terminal back. */
  [Symbol.dispose](): void {
    clearInterval(this.#frames);
    this.#screen[Symbol.dispose]();
  }

  /** What stays on the terminal of a run that has ended: its tree, the ends of the logs of what failed, what to type next. */
  summary(run: RunDetail): string {
    const { colors } = this.#terminal;
    const ends: string[] = [];
    for (const job of run.jobs) {
      for (const step of job.job_executions.flatMap((execution) => execution.steps)) {
        const tail = this.#tails.lines(step.id, step.current_attempt);
        if (step.status !== "failed" || tail.length === 0) continue;
        ends.push(colors.bold(`The end of the log of ${plainText(job.key)}, ${plainText(step.name)}:`));
        ends.push(...tail.map((line) => `${colors.dim("│")} ${line}`), "");
      }
    }
    return [...ends, renderRun(run, [], colors)].join("\n");
  }

  #draw(): void {
    const { rows, columns } = this.#screen.size;
    const { colors } = this.#terminal;
    if (this.#run === null) return this.#screen.draw([this.#notice]);
    const footer = this.#notice || "Ctrl-C stops watching, not the run";
    const tailOf = (stepId: string, attempt: number) => this.#tails.lines(stepId, attempt);
    this.#screen.draw(layoutRun(this.#run, { rows, columns, now: Date.now(), colors, tailOf, footer }));
  }
}
