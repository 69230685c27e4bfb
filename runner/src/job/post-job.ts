import type { Logger } from "@shipfox/shared/logger";
import type { Masker } from "../logs/masking.ts";
import type { StepLog } from "../logs/step-log.ts";
import type { ExecResult, Sandbox } from "../sandbox/sandbox.ts";

export const MAX_POST_JOB_BYTES = 64 * 1024;
/** All clean-ups of a job together. */
const LIMIT_MS = 60_000;
/** The control plane gives a cancelled job's slot away a little later than its grace. */
const STOPPED_LIMIT_MS = 10_000;
const GRACE_MS = 1_000;
const MAX_LOGGED_CHARS = 4_000;

/** Commands that a step left for the end of its job. */
export interface PostJobCommands {
  /** Name of the step. */
  step: string;
  script: string;
  env: Readonly<Record<string, string>>;
  path: readonly string[];
}

/**
 * What steps registered to be done when the job ends, however it ends short of a kill: run in the sandbox, the last
 * registered first, each once. Nothing that goes wrong here changes the job's result.
 */
export class PostJob {
  private readonly waiting: PostJobCommands[] = [];
  private readonly logger: Logger;
  private readonly masker: Masker;

  constructor(options: { logger: Logger; masker: Masker }) {
    this.logger = options.logger;
    this.masker = options.masker;
  }

  register(commands: PostJobCommands): void {
    this.waiting.push(commands);
  }

  /** `log` is that of the last step while it is still open; without one the end of the output goes to the runner's own log. Never rejects. */
  async run(
    sandbox: Sandbox,
    options: { log: StepLog | null; isStopped: boolean; signal: AbortSignal },
  ): Promise<void> {
    if (this.waiting.length === 0) return;
    const limit = AbortSignal.timeout(options.isStopped ? STOPPED_LIMIT_MS : LIMIT_MS);
    const signal = AbortSignal.any([options.signal, limit]);
    while (!signal.aborted) {
      const commands = this.waiting.pop();
      if (commands === undefined) return;
      await this.runOne(sandbox, commands, options.log, signal);
    }
    if (!options.signal.aborted) options.log?.line("Warning: the clean-up of the job took too long.", "stderr");
  }

  private async runOne(
    sandbox: Sandbox,
    commands: PostJobCommands,
    log: StepLog | null,
    signal: AbortSignal,
  ): Promise<void> {
    log?.line(`Clean-up registered by the step "${commands.step}":`);
    // Masked before it is cut: half a secret is no longer found.
    const masked = this.masker.stream();
    const decoder = new TextDecoder();
    let tail = "";
    const keep = (text: string) => (tail = (tail + text).slice(-MAX_LOGGED_CHARS));
    try {
      const result = await sandbox.exec({
        script: commands.script,
        env: commands.env,
        path: commands.path,
        workingDirectory: null,
        onOutput: (stream, chunk) => {
          log?.write(stream, chunk);
          if (log === null) keep(masked.push(decoder.decode(chunk, { stream: true })));
        },
        signal,
        graceMs: GRACE_MS,
      });
      log?.flush();
      keep(masked.push(decoder.decode()) + masked.flush());
      this.tell(log, commands.step, describe(result), tail);
    } catch (error) {
      this.tell(log, commands.step, `could not run: ${(error as Error).message}`, tail);
    }
  }

  private tell(log: StepLog | null, step: string, what: string | null, tail: string): void {
    if (what !== null) log?.line(`Warning: the clean-up ${what}.`, "stderr");
    const output = log === null ? { output: tail } : {};
    this.logger.info({ step, fault: what, ...output }, "a step's clean-up ran");
  }
}

function describe(result: ExecResult): string | null {
  if (result.kind === "stopped") return "was stopped";
  return result.exitCode === 0 ? null : `exited with code ${result.exitCode}`;
}
