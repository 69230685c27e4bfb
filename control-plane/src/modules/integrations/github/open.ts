import type { Logger } from "@shipfox/shared/logger";
import type { Config } from "../../../config.ts";
import type { RootKeys } from "../../../http/root-keys.ts";
import type { Clock } from "../../../store/clock.ts";
import type { Store } from "../../../store/store.ts";
import { GitHubApi } from "./api.ts";
import { GitHubApp } from "./app.ts";
import { Checks } from "./checks.ts";
import { MissedDeliveries } from "./missed-deliveries.ts";
import { githubSettings } from "./settings.ts";
import { GitHubSources } from "./sources.ts";

export interface GitHub {
  readonly app: GitHubApp;
  readonly sources: GitHubSources;
  readonly checks: Checks;
  readonly missed: MissedDeliveries;
  /** Ends the calls that run. */
  close(): void;
}

/** The GitHub integration, or null when no GitHub App is configured. Throws ConfigError. */
export function openGitHub(deps: {
  config: Config;
  rootKeys: Buffer | RootKeys;
  publicUrl: string;
  store: Store;
  clock: Clock;
  log: Logger;
  arm: (at: number) => void;
}): GitHub | null {
  const { store, clock, log, publicUrl, arm } = deps;
  const settings = githubSettings(deps.config, deps.rootKeys);
  if (!settings) return null;
  const api = new GitHubApi(settings.apiUrl);
  const app = new GitHubApp({ settings, api, clock });
  return {
    app,
    sources: new GitHubSources(app),
    checks: new Checks({ store, clock, log, app, publicUrl, arm }),
    missed: new MissedDeliveries({ clock, log, app }),
    close: () => api.close(),
  };
}
