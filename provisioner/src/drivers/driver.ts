import type { z } from "zod";

/**
 * The contract between the provisioner, which knows demand and what an instance is for, and a provider of machines.
 *
 * A driver is stateless: what it needs to find its machines again stands on the machines, as tags. The daemon keeps every
 * record, decides what is made and deleted, retries with backoff, opens circuits and bounds rates; a driver tries once and says
 * precisely how it failed. `conformance.ts` is the suite that each driver passes.
 */

/** What marks a machine as ours. A machine is deleted only when all three are exactly ours and `instance` is in our records. */
export interface InstanceTags {
  /** The id of the provisioner token: two control planes with one provider account never meet. */
  readonly controller: string;
  /** The pool of the templates file, 1 to 63 characters of `[a-z0-9-]`. */
  readonly pool: string;
  /** The runner instance id of the control plane: one machine for each, whatever is repeated. */
  readonly instance: string;
}

/** What the runner in the machine needs. Drivers hand it over as `boot-files.ts` writes it, by file, never in argv or environment. */
export interface BootData {
  /** `sf_ert_…`: one registration, one job. It reaches the machine as a file that only its runner can read. */
  readonly registrationToken: string;
  /** Variables of the runner (`SHIPFOX_API_URL`, labels, sandbox, time limits); no secret is among them. */
  readonly runnerEnv: Readonly<Record<string, string>>;
}

export interface CreateRequest<Machine> {
  /** `shipfox-` and the last 12 characters of the instance id: the name or host name of the machine; unique in the pool. */
  readonly name: string;
  readonly tags: InstanceTags;
  /** For people who look at the provider; never read back. */
  readonly templateKey: string;
  readonly machine: Machine;
  readonly boot: BootData;
  /** After so long from the creation the machine must have ended itself, in milliseconds. */
  readonly maxLifetimeMs: number;
}

export type MachineState = "starting" | "running" | "stopping" | "stopped";

export interface ObservedMachine {
  /** The provider's own id, 1 to 255 characters. */
  readonly providerId: string;
  /** Null when a tag is missing or is no text. */
  readonly tags: InstanceTags | null;
  /** `stopped` is over and only takes up room: its console can be read, then it is deleted. */
  readonly state: MachineState;
}

/** How a call to a provider failed. */
export type ProviderFault =
  /** Asked too often; counts against no template. `retryAfterMs` when the provider named it. */
  | "throttled"
  /** The provider has no room for this kind of machine now: try another template. */
  | "no_capacity"
  /** A limit of the account is reached. */
  | "quota"
  /** The request is wrong and stays wrong until somebody changes the template or the provider's settings. */
  | "refused"
  /** The provider did not answer, or with a fault of its own. */
  | "unavailable";

/** Every method of a provider rejects with this. */
export class ProviderError extends Error {
  override readonly name = "ProviderError";
  readonly fault: ProviderFault;
  /** The call may have had its effect: the machine may exist. Never true for `refused`. */
  readonly mayHaveHappened: boolean;
  /** What the provider asked us to wait, in milliseconds; 0 when it said nothing. */
  readonly retryAfterMs: number;

  /** `message` is a sentence for people without secrets: what was tried and what the provider said. */
  constructor(
    fault: ProviderFault,
    message: string,
    options: { mayHaveHappened?: boolean; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.fault = fault;
    this.mayHaveHappened = options.mayHaveHappened ?? false;
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }
}

/**
 * A provider that was opened. Any number of calls run side by side, also several for one machine. Every call ends by itself
 * within `CALL_LIMIT_MS`, and soon after `signal` is aborted; what had been asked of the provider may still happen then.
 */
export interface Provider<Machine = unknown> {
  /**
   * What keeps the templates from working, a sentence each: the image is missing, the key may not create. Called at start, after a
   * reload and by `validate`; changes nothing. Rejects when the provider does not answer.
   */
  check(machines: readonly Machine[], signal: AbortSignal): Promise<readonly string[]>;

  /**
   * Makes one machine and starts it; resolves when the provider has taken the order, not when the machine is up. The tags are on it
   * from its first moment on. Repeating it with the same `tags.instance` never makes a second machine: it answers the first, whatever
   * its state. After a rejection with `mayHaveHappened` the daemon waits for the next whole `list`.
   */
  create(request: CreateRequest<Machine>, signal: AbortSignal): Promise<{ readonly providerId: string }>;

  /**
   * Every machine that carries our `controller` and `pool`, in whatever state, until the provider has forgotten it. All pages or a
   * rejection: a part is never answered. A machine just made may be missing for a while where the provider is eventually consistent;
   * the daemon allows for `listLagMs`.
   */
  list(owner: Omit<InstanceTags, "instance">, signal: AbortSignal): Promise<readonly ObservedMachine[]>;

  /**
   * Removes a machine with its disks and addresses, running or not; resolves when the provider has taken the order. One that is gone
   * already is a success. The driver reads the machine's tags once more and rejects with `refused` unless they are exactly `tags`.
   */
  delete(target: { providerId: string; tags: InstanceTags }, signal: AbortSignal): Promise<void>;

  /** The last of its console, at most 16,384 characters, for the failure of a boot; null when there is none (any more). */
  readConsole(providerId: string, signal: AbortSignal): Promise<string | null>;

  /** How long a machine may be missing from `list` after `create`, in milliseconds; 0 where lists are exact. */
  readonly listLagMs: number;

  /** Gives up connections and temporary files; machines are left as they are. Idempotent. */
  close(): Promise<void>;
}

/** One kind of provider. `Settings` are the `provider` section of a templates file, `Machine` the `machine` section of a template. */
export interface Driver<Settings = unknown, Machine = unknown> {
  readonly kind: string;
  /** Strict; without the key `kind`. */
  readonly settingsSchema: z.ZodType<Settings>;
  /** Strict. */
  readonly machineSchema: z.ZodType<Machine>;
  /** Where steps can run in its machines; `docker` only where a machine image can bring an engine. */
  readonly sandboxes: readonly ("host" | "docker")[];
  /** Where a loopback address leads that a machine is given, and what to give it instead. Refused unless it leads to this host. */
  readonly loopback: { readonly leadsTo: "this-host" | "the-machine" | "nowhere"; readonly hint: string };
  /** Makes nothing at the provider. Secrets are read from files that the settings name. Rejects with ProviderError. */
  open(settings: Settings, environment: DriverEnvironment): Promise<Provider<Machine>>;
}

export interface DriverEnvironment {
  /** For what a driver must keep on this host (disk overlays, consoles); made 0700, the driver's alone. */
  readonly stateDir: string;
  /** Relative paths in settings and machines start here: the folder of the templates file. */
  readonly baseDir: string;
}

export const CALL_LIMIT_MS = 60_000;
export const MAX_CONSOLE_CHARS = 16_384;
