import type { Logger } from "@shipfox/shared/logger";
import type { ClaimReply } from "@shipfox/shared/machine";
import type { StepLog } from "../logs/step-log.ts";
import { runHook } from "./host-hooks.ts";
import { jobIdentity } from "./job-identity.ts";

/** After so much output of a post-job hook the rest is not kept in the runner's log. */
const MAX_LOGGED_CHARS = 16_000;

export interface HookSettings {
  /** Absolute paths of the operator's programs, or null. */
  preJob: string | null;
  postJob: string | null;
  timeoutMs: number;
}

/** The operator's programs around one job. They learn which job it is and get no token. */
export class JobHooks {
  private readonly settings: HookSettings;
  private readonly identity: Record<string, string>;
  private hasBegun = false;

  constructor(settings: HookSettings, claim: ClaimReply, runnerName: string) {
    this.settings = settings;
    this.identity = jobIdentity(claim, runnerName);
  }

  /** Before anything of the job is made. Answers why the job may not run here, a sentence, or null. */
  async before(log: StepLog, signal: AbortSignal): Promise<string | null> {
    this.hasBegun = true;
    const { preJob, timeoutMs } = this.settings;
    if (preJob === null) return null;
    log.line("Running the pre-job hook of this runner's operator.");
    const fault = await runHook(preJob, {
      env: { ...this.identity, SHIPFOX_HOOK: "pre-job" },
      timeoutMs,
      signal,
      onOutput: (stream, chunk) => log.write(stream, chunk),
    });
    log.flush();
    return fault === null ? null : `The pre-job hook of this runner's operator ${fault}.`;
  }

  /** When everything of the job is gone, if it had begun. Its output is for the operator. */
  async after(result: string, logger: Logger, signal: AbortSignal): Promise<void> {
    const { postJob, timeoutMs } = this.settings;
    if (postJob === null || !this.hasBegun) return;
    let output = "";
    const fault = await runHook(postJob, {
      env: { ...this.identity, SHIPFOX_HOOK: "post-job", SHIPFOX_JOB_RESULT: result },
      timeoutMs,
      signal,
      onOutput: (_, chunk) => {
        if (output.length < MAX_LOGGED_CHARS) output += chunk.toString("utf8");
      },
    });
    const facts = { output: output.slice(0, MAX_LOGGED_CHARS) };
    if (fault === null) logger.info(facts, "the post-job hook ran");
    else logger.error(facts, `the post-job hook ${fault}`);
  }
}
