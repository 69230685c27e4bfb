import { ConfigError } from "@shipfox/shared/config";
import type { Logger } from "@shipfox/shared/logger";
import { type RunnerConfig, SETTINGS } from "../config.ts";
import type { LabelSync } from "./label-sync.ts";

export interface ReloadOptions {
  /** Reads the configuration anew; throws ConfigError. */
  read: () => RunnerConfig;
  current: RunnerConfig;
  resize: (concurrency: number) => void;
  labels: LabelSync;
  logger: Logger;
}

/** SIGHUP: takes over the settings that can change while jobs run. A wrong configuration changes nothing. */
export class Reload {
  private readonly options: ReloadOptions;
  private current: RunnerConfig;

  constructor(options: ReloadOptions) {
    this.options = options;
    this.current = options.current;
  }

  /** What happened, one line for people. */
  run(): string {
    const { read, resize, labels, logger } = this.options;
    let next: RunnerConfig;
    try {
      next = read();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      logger.error({ error: error.message }, "reload refused: nothing was changed");
      return "reload refused: the configuration is not valid";
    }
    const changed = changedSettings(this.current, next);
    const live = changed.filter((key) => key === "labels" || key === "concurrency");
    const waiting = changed
      .filter((key) => key !== "labels" && key !== "concurrency")
      .map((key) => SETTINGS[key].variable);
    if (live.includes("concurrency")) resize(next.concurrency);
    if (live.includes("labels")) labels.change(next.labels);
    this.current = { ...this.current, labels: next.labels, concurrency: next.concurrency };
    logger.info({ labels: next.labels, concurrency: next.concurrency, changed: live }, "reloaded");
    if (waiting.length > 0)
      logger.warn({ settings: waiting }, "these settings changed too; they count from the next start");
    return live.length === 0 ? "reloaded: nothing changed" : `reloaded: ${live.join(" and ")} changed`;
  }
}

/** The registration token is left out: it is needed only once and forgotten after the start. */
function changedSettings(before: RunnerConfig, after: RunnerConfig): (keyof RunnerConfig)[] {
  const keys = Object.keys(SETTINGS) as (keyof RunnerConfig)[];
  return keys.filter(
    (key) => key !== "registrationToken" && JSON.stringify(before[key]) !== JSON.stringify(after[key]),
  );
}
