import type { Logger } from "@shipfox/shared/logger";
import type { Budgets, Time } from "./budget/budgets.ts";
import type { ControlPlane } from "./control-plane/client.ts";
import { type InstanceTags, type Provider, ProviderError } from "./drivers/driver.ts";
import type { Fleet } from "./fleet.ts";
import type { Monitor } from "./monitor.ts";
import type { Policy, Situation } from "./policy-port.ts";
import type { TemplatesFile } from "./templates/template.ts";

/** What both loops stand on. */
export interface World {
  readonly controlPlane: ControlPlane;
  readonly provider: Provider;
  readonly owner: Omit<InstanceTags, "instance">;
  readonly policy: Policy;
  /** The file in use; a reload replaces it. */
  readonly file: () => TemplatesFile;
  readonly fleet: Fleet;
  readonly budgets: Budgets;
  readonly monitor: Monitor;
  readonly time: Time;
  readonly logger: Logger;
}

export function situationOf({ file, fleet, budgets, time }: World): Situation {
  const current = file();
  return {
    file: current,
    counts: fleet.counts(time.monotonic()),
    allowances: new Map(current.templates.map((template) => [template.key, budgets.allowance(template)])),
    creationsLeft: budgets.creationsLeft(current.limits),
    now: time.now(),
  };
}

/** The typed error of a provider's call; a driver that breaks its contract counts as a provider that does not answer. */
export function asProviderError(error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new ProviderError("unavailable", `the driver failed: ${why}`, { mayHaveHappened: true, cause: error });
}
