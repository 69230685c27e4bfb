import { availableParallelism, totalmem } from "node:os";
import type { PullPolicy } from "@shipfox/shared/machine";
import type { Logger } from "pino";
import { chooseJobUser, runnerIsRoot } from "../job-user.ts";
import type { Lifelines } from "../lifelines.ts";
import type { JobUser } from "../sandbox.ts";
import type { GarbageRules } from "./image-records.ts";
import type { Network } from "../network/networks.ts";
import type { AddableCapability } from "./root-images.ts";
import { type Subnet, parseSubnet } from "./subnets.ts";

export interface DockerOptions {
  /** Stable name or id of this runner; leftovers are found by it, so two runners on one host must differ. */
  runnerId: string;
  /** Absolute path; below it the sandboxes keep their folders. Made when missing, mode 0700. */
  workRoot: string;
  logger: Logger;
  lifelines: Lifelines;
  concurrency: number;
  /** Null is the engine's usual place: DOCKER_HOST, else /var/run/docker.sock. */
  dockerHost: string | null;
  defaultImage: string;
  /** `plain` creates an exec per step instead of using one that was started ahead. */
  exec: "fast" | "plain";
  /** Only heeded when the runner is root. */
  jobUser: JobUser | null;
  /** Warm containers kept ready; null is `concurrency`, 0 starts every container when its job comes, in a place made ahead. */
  poolSize: number | null;
  /** How long a warm container or a place made ahead may wait before it is replaced, in milliseconds; null for ever. */
  warmMaxAgeMs: number | null;
  /** Where the images that were pulled are noted; null never removes one. */
  imageRecordFile: string | null;
  imageGarbage: GarbageRules;
  subnet: string;
  egress: "default" | "none";
  limits: ContainerLimits;
  /** What a job may write to disk; null for no limit. The caller enforces it, with the engine's help where that can. */
  diskLimitBytes: number | null;
  /** Whether jobs can write only to the workspace, their home, /tmp and /dev/shm. */
  readOnlyRoot: boolean;
  /** Name of a runtime of the engine for jobs' containers; null is the engine's default. */
  runtime: string | null;
  /** Images, or beginnings that end in a star, whose steps are root of their container. */
  rootImages: readonly string[];
  addedCapabilities: readonly AddableCapability[];
  /** Networks that no job may reach, beside metadata addresses, this host and other jobs. */
  deniedNetworks: readonly Network[];
  /** Exceptions, for example a name server on this host. */
  allowedNetworks: readonly Network[];
  /** `auto` sets rules of the host's firewall beside the routes in each place, where the runner may. */
  firewall: "auto" | "off";
  /** Resolvers for jobs; empty is what the engine chooses. Needed where the host's own resolver is link-local. */
  dns: readonly string[];
  /** Variables that the operator passes on to every step, such as HTTPS_PROXY and NO_PROXY. */
  passedEnv: Readonly<Record<string, string>>;
  /** Files on the host, read anew for every container, so that a change needs no restart. */
  npmrcFile: string | null;
  caFile: string | null;
  /** From the start of a job's services to the last one that must be ready, in milliseconds. */
  serviceStartMs: number;
  pullPolicy: PullPolicy;
  /** References, or their beginnings followed by `*`, of images that any job may use without asking a registry. */
  localImages: readonly string[];
  pullTimeoutMs: number;
  /** Pause before the second try at a registry that was busy or broken; it doubles. */
  registryRetryMs: number;
}

export interface ContainerLimits {
  pids: number;
  memoryBytes: number;
  /** Number of processors, fractions allowed. */
  cpus: number;
  /** Size of /tmp and of /dev/shm, both counted as memory. */
  tmpBytes: number;
  shmBytes: number;
  openFiles: number | null;
}

/** Another user than the steps, so that they can neither signal the main process nor read its memory or its input. */
export const KEEPER_USER: JobUser = { uid: 65534, gid: 65534 };

export const DEFAULT_IMAGE = "shipfox/sandbox:1";
export const DEFAULT_SUBNET = "10.213.0.0/16";
const DEFAULT_PIDS = 4096;
const GIB = 1024 ** 3;
/** Left for the runner, the engine and the host. */
const SHARE_OF_MEMORY_FOR_JOBS = 0.8;
const MIN_MEMORY_BYTES = GIB / 2;
const DEFAULT_SERVICE_START_MS = 5 * 60 * 1000;
const DEFAULT_PULL_TIMEOUT_MS = 10 * 60 * 1000;
const DEFAULT_REGISTRY_RETRY_MS = 1000;

export type DockerOptionsInput = Pick<DockerOptions, "runnerId" | "workRoot" | "logger" | "lifelines"> &
  Partial<Omit<DockerOptions, "limits">> & { limits?: Partial<ContainerLimits> };

/** Options with every default filled in, and the values that are parsed once. */
export interface DockerSettings extends DockerOptions {
  poolSize: number;
  network: Subnet;
  user: JobUser;
}

/** Throws a sentence for people on a subnet or a user that cannot be used. */
export function dockerSettings(input: DockerOptionsInput): DockerSettings {
  const concurrency = input.concurrency ?? 1;
  const defaultImage = input.defaultImage ?? DEFAULT_IMAGE;
  const subnet = input.subnet ?? DEFAULT_SUBNET;
  const jobUser = input.jobUser ?? null;
  const user = chooseJobUser(jobUser);
  if (user.uid === KEEPER_USER.uid) {
    throw new Error(
      `Steps cannot run as user ${user.uid}: the main process of their container does. Choose another user.`,
    );
  }
  if ((input.rootImages ?? []).length > 0 && !runnerIsRoot()) {
    throw new Error(
      "SHIPFOX_RUNNER_ROOT_IMAGES needs a runner that is root: steps would leave files it cannot give back.",
    );
  }
  return {
    runnerId: input.runnerId,
    workRoot: input.workRoot,
    logger: input.logger,
    lifelines: input.lifelines,
    concurrency,
    dockerHost: input.dockerHost ?? null,
    defaultImage,
    exec: input.exec ?? "fast",
    jobUser,
    user,
    poolSize: input.poolSize ?? concurrency,
    warmMaxAgeMs: input.warmMaxAgeMs ?? null,
    imageRecordFile: input.imageRecordFile ?? null,
    imageGarbage: input.imageGarbage ?? { maxAgeMs: null, maxBytes: null },
    subnet,
    network: parseSubnet(subnet),
    egress: input.egress ?? "default",
    limits: { ...defaultLimits(concurrency, input.limits?.memoryBytes), ...input.limits },
    diskLimitBytes: input.diskLimitBytes ?? null,
    readOnlyRoot: input.readOnlyRoot ?? false,
    runtime: input.runtime ?? null,
    rootImages: input.rootImages ?? [],
    addedCapabilities: input.addedCapabilities ?? [],
    deniedNetworks: input.deniedNetworks ?? [],
    allowedNetworks: input.allowedNetworks ?? [],
    firewall: input.firewall ?? "off",
    dns: input.dns ?? [],
    passedEnv: input.passedEnv ?? {},
    npmrcFile: input.npmrcFile ?? null,
    caFile: input.caFile ?? null,
    serviceStartMs: input.serviceStartMs ?? DEFAULT_SERVICE_START_MS,
    pullPolicy: input.pullPolicy ?? "if-not-present",
    localImages: [defaultImage, ...(input.localImages ?? [])],
    registryRetryMs: input.registryRetryMs ?? DEFAULT_REGISTRY_RETRY_MS,
    pullTimeoutMs: input.pullTimeoutMs ?? DEFAULT_PULL_TIMEOUT_MS,
  };
}

function defaultLimits(concurrency: number, chosenBytes: number | undefined): ContainerLimits {
  const share = Math.floor((totalmem() * SHARE_OF_MEMORY_FOR_JOBS) / concurrency);
  const memoryBytes = chosenBytes ?? Math.max(MIN_MEMORY_BYTES, share);
  return {
    pids: DEFAULT_PIDS,
    memoryBytes,
    cpus: availableParallelism(),
    tmpBytes: memoryBytes / 2,
    shmBytes: Math.min(GIB, memoryBytes / 4),
    openFiles: null,
  };
}
