import type { ControlPlane } from "../control-plane/client.ts";
import type { InstanceTags, Provider } from "../drivers/driver.ts";

/** What happens meanwhile, for people. */
export interface ProbeObserver {
  /** Something happened to the machine of a template. */
  said(templateKey: string, text: string): void;
  /** Its runner is waited for, since `forMs`. */
  waits(templateKey: string, forMs: number): void;
}

export interface ProbeWorld {
  readonly controlPlane: Pick<ControlPlane, "pollDemand" | "planInstances" | "report" | "reconcile" | "drain">;
  readonly provider: Pick<Provider, "create" | "list" | "delete" | "readConsole" | "listLagMs">;
  readonly owner: Omit<InstanceTags, "instance">;
  readonly providerKind: string;
  readonly maxInstances: number;
  readonly observer: ProbeObserver;
}

/** What became of a machine before its removal. */
export interface Trial {
  readonly fault: string | null;
  readonly mayExist: boolean;
  /** What the provider calls the machine; null when its creation was not answered. */
  readonly providerId: string | null;
  /** Until then, in monotonic milliseconds, a machine may exist that no list shows. */
  readonly hiddenUntil: number;
}
