import { readFileSync } from "node:fs";
import { homedir, hostname, userInfo } from "node:os";
import { isAbsolute, join } from "node:path";
import { getCACertificates } from "node:tls";
import { type ConfigOf, setting, text } from "@shipfox/shared/config";
import { canonicalLabels, isLabel, MAX_LABELS } from "@shipfox/shared/labels";
import { pullPolicySchema } from "@shipfox/shared/machine";
import { z } from "zod";
import { parseEngineAddress } from "./sandbox/docker/engine-address.ts";
import { type Network, parseNetwork } from "./sandbox/network/networks.ts";
import { ADDABLE_CAPABILITIES, checkRootImage } from "./sandbox/docker/root-images.ts";
import { parseJobUser } from "./sandbox/job-user.ts";

const MEBIBYTE = 1024 * 1024;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const MAX_CONCURRENCY = 256;
const MAX_WARM = 256;
const MAX_PORT = 65_535;
const MAX_NAME_CHARS = 128;
const MIB = 1024 ** 2;
/** What a timer can hold, about 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 2 * MINUTE_MS;
const MAX_BYTES = 1024 ** 5;
const MAX_CPUS = 1024;
/** Fewer would not do for the runner's own processes in a job's container. */
const MIN_PIDS = 32;
const MAX_PIDS = 4_194_304;
const MAX_OPEN_FILES = 1_048_576;

const optionalText = z.string().optional();
/** Only by its beginning: the control plane judges the rest. */
const registrationToken = optionalText.superRefine((token, context) => {
  if (token === undefined || /^sf_(mrt|ert)_\S*$/.test(token)) return;
  const kind = /^sf_[a-z]+_/.exec(token)?.[0];
  const found =
    kind === undefined || kind === "sf_mrt_" ? "this is none" : `this is a token of another kind (${kind}…)`;
  context.addIssue(`expected a registration token (sf_mrt_…), but ${found}; make one with "shipfox runners add"`);
});
const dockerHost = optionalText.superRefine((address, context) => {
  try {
    if (address !== undefined) parseEngineAddress(address);
  } catch (error) {
    context.addIssue((error as Error).message);
  }
});
const hookPath = z.string().refine(isAbsolute, { error: "expected an absolute path" }).optional();
const apiUrl = z
  .url({ protocol: /^https?$/, error: "expected an http or https URL" })
  .default("http://localhost:16101");
const labelList = text
  .list(`linux,${process.arch}`)
  .transform((labels) => canonicalLabels(labels))
  .refine((labels) => labels.length >= 1 && labels.length <= MAX_LABELS && labels.every(isLabel), {
    message: `expected 1 to ${MAX_LABELS} labels of letters, digits, ".", "_" and "-", separated by commas`,
  });
const jobUser = z
  .string()
  .optional()
  .transform((value, context) => (value === undefined ? null : parsed(value, context, parseJobUser)));
const networkList = text
  .list("")
  .transform((items, context): Network[] => items.map((item) => parsed(item, context, parseNetwork)));
const rootImages = text.list("").transform((items, context) =>
  items.map((item) =>
    parsed(item, context, (pattern) => {
      checkRootImage(pattern);
      return pattern;
    }),
  ),
);
const capabilityList = text
  .list("")
  .transform((names) => names.map((name) => name.toUpperCase().replace(/^CAP_/, "")))
  .pipe(z.array(z.enum(ADDABLE_CAPABILITIES, { error: `expected some of ${ADDABLE_CAPABILITIES.join(", ")}` })));
const optionalInteger = (minimum: number, maximum: number) =>
  z.coerce.number({ error: "expected a whole number" }).int().min(minimum).max(maximum).optional();

/** What `parse` makes of one text, its complaint being the setting's. */
function parsed<T>(value: string, context: z.RefinementCtx, parse: (value: string) => T): T {
  try {
    return parse(value);
  } catch (error) {
    context.addIssue((error as Error).message);
    return z.NEVER;
  }
}

/** Every setting of the runner: its variable, its default, one line of help. `--help` and the docs are made from it. */
export const SETTINGS = {
  configFile: setting(
    "SHIPFOX_RUNNER_CONFIG_FILE",
    optionalText,
    "File of NAME=value lines with any of these settings; SIGHUP reads it again.",
  ),
  apiUrl: setting("SHIPFOX_API_URL", apiUrl, "Address of the control plane."),
  registrationToken: setting(
    "SHIPFOX_RUNNER_REGISTRATION_TOKEN",
    registrationToken,
    "Registration token (sf_mrt_…), needed at the first start.",
    { secret: true },
  ),
  labels: setting("SHIPFOX_RUNNER_LABELS", labelList, "Labels of the jobs this runner takes, separated by commas."),
  name: setting(
    "SHIPFOX_RUNNER_NAME",
    z.string().trim().min(1).max(MAX_NAME_CHARS).default(hostname().slice(0, MAX_NAME_CHARS)),
    "Name shown to people.",
  ),
  stateDir: setting(
    "SHIPFOX_RUNNER_STATE_DIR",
    z.string().default(defaultStateDir()),
    "Folder for the credential, logs to send and repository mirrors.",
  ),
  workDir: setting(
    "SHIPFOX_RUNNER_WORK_DIR",
    optionalText,
    "Folder for the workspaces of running jobs; default: work in the state folder.",
  ),
  concurrency: setting("SHIPFOX_RUNNER_CONCURRENCY", text.integer(1, MAX_CONCURRENCY, 1), "How many jobs run at once."),
  sandbox: setting(
    "SHIPFOX_RUNNER_SANDBOX",
    z.enum(["docker", "host"], { error: 'expected "docker" or "host"' }).default("docker"),
    "Where steps run: docker, or host on machines that are themselves disposable.",
  ),
  image: setting("SHIPFOX_RUNNER_IMAGE", optionalText, "Image of jobs that name none (docker)."),
  serviceStartMs: setting(
    "SHIPFOX_RUNNER_SERVICE_START_MS",
    text.integer(1_000, 60 * MINUTE_MS, 5 * MINUTE_MS),
    "How long the services of a job may take until all are ready, in milliseconds (docker).",
  ),
  pullPolicy: setting(
    "SHIPFOX_RUNNER_PULL_POLICY",
    z
      .enum(pullPolicySchema.options, { error: 'expected "if-not-present", "always" or "never"' })
      .default("if-not-present"),
    "When images that are here already are pulled again: if-not-present, always, or never pull anything (docker).",
  ),
  localImages: setting(
    "SHIPFOX_RUNNER_LOCAL_IMAGES",
    text.list(""),
    "Images of this machine that every job may use without asking a registry, such as team/tools:1 or team/* (docker).",
  ),
  jobUser: setting("SHIPFOX_RUNNER_JOB_USER", jobUser, "uid:gid under which steps run when the runner is root."),
  subnet: setting(
    "SHIPFOX_RUNNER_SUBNET",
    optionalText,
    "IPv4 network, such as 10.213.0.0/16, out of which each job gets its own (docker).",
  ),
  egress: setting(
    "SHIPFOX_RUNNER_EGRESS",
    z.enum(["default", "none"], { error: 'expected "default" or "none"' }).default("default"),
    "Network of jobs: default, or none (docker).",
  ),
  denyAddresses: setting(
    "SHIPFOX_RUNNER_DENY_ADDRESSES",
    networkList,
    "Addresses and networks (CIDR) that no job may reach, beside metadata addresses and, with docker, this host and other jobs.",
  ),
  allowAddresses: setting(
    "SHIPFOX_RUNNER_ALLOW_ADDRESSES",
    networkList,
    "Exceptions from what jobs may not reach, such as a name server on this host.",
  ),
  dns: setting(
    "SHIPFOX_RUNNER_DNS",
    text.list("").pipe(z.array(z.union([z.ipv4(), z.ipv6()], { error: "expected IP addresses, separated by commas" }))),
    "Name servers of jobs; default: those of the engine (docker).",
  ),
  firewall: setting(
    "SHIPFOX_RUNNER_FIREWALL",
    z.enum(["auto", "off"], { error: 'expected "auto" or "off"' }).default("auto"),
    "Whether a runner that is root sets rules of this machine's firewall for its jobs: auto or off.",
  ),
  memoryBytes: setting(
    "SHIPFOX_RUNNER_MEMORY_BYTES",
    optionalInteger(16 * MIB, MAX_BYTES),
    "Memory of a job, without swap; default: an even share of 80 % of the machine's (docker).",
  ),
  cpus: setting(
    "SHIPFOX_RUNNER_CPUS",
    z.coerce.number({ error: "expected a number" }).min(0.01).max(MAX_CPUS).optional(),
    "Processors of a job, such as 1.5; default: all (docker).",
  ),
  pidsLimit: setting(
    "SHIPFOX_RUNNER_PIDS_LIMIT",
    text.integer(MIN_PIDS, MAX_PIDS, 4096),
    "Processes and threads of a job (docker).",
  ),
  tmpBytes: setting(
    "SHIPFOX_RUNNER_TMP_BYTES",
    optionalInteger(MIB, MAX_BYTES),
    "Size of a job's /tmp, which counts as memory; default: half of its memory (docker).",
  ),
  shmBytes: setting(
    "SHIPFOX_RUNNER_SHM_BYTES",
    optionalInteger(MIB, MAX_BYTES),
    "Size of a job's /dev/shm, which counts as memory; default: a quarter of its memory, at most 1 GiB (docker).",
  ),
  openFiles: setting(
    "SHIPFOX_RUNNER_OPEN_FILES",
    optionalInteger(64, MAX_OPEN_FILES),
    "Open files of each process of a job; default: the engine's (docker).",
  ),
  diskLimitBytes: setting(
    "SHIPFOX_RUNNER_DISK_LIMIT_BYTES",
    optionalInteger(MIB, MAX_BYTES),
    "What a job may write to its workspace and its containers before it is ended; default: no limit.",
  ),
  diskFloorBytes: setting(
    "SHIPFOX_RUNNER_DISK_FLOOR_BYTES",
    text.integer(0, MAX_BYTES, 1024 * MIB),
    "Free bytes below which no job is claimed and the largest running one is handed back.",
  ),
  diskFloorInodes: setting(
    "SHIPFOX_RUNNER_DISK_FLOOR_INODES",
    text.integer(0, MAX_BYTES, 10_000),
    "The same for the number of files that the disk has room for.",
  ),
  readOnlyRoot: setting(
    "SHIPFOX_RUNNER_READ_ONLY_ROOT",
    text.boolean(false),
    "Whether jobs can write only to the workspace, their home, /tmp and /dev/shm (docker).",
  ),
  runtime: setting(
    "SHIPFOX_RUNNER_RUNTIME",
    z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, "expected the name of a runtime of the engine")
      .optional(),
    "Runtime of jobs' containers, such as runsc for gVisor; default: the engine's (docker).",
  ),
  rootImages: setting(
    "SHIPFOX_RUNNER_ROOT_IMAGES",
    rootImages,
    "Images whose steps run as root of their container; a name may end in /* or :* (docker).",
  ),
  addCapabilities: setting(
    "SHIPFOX_RUNNER_ADD_CAPABILITIES",
    capabilityList,
    `Capabilities of steps that are root, from ${ADDABLE_CAPABILITIES.join(", ")} (docker).`,
  ),
  warm: setting(
    "SHIPFOX_RUNNER_WARM",
    text.integer(0, MAX_WARM, -1).transform((value) => (value < 0 ? null : value)),
    "Containers started ahead; default: as many as jobs at once (docker).",
  ),
  warmMaxAgeMs: setting(
    "SHIPFOX_RUNNER_WARM_MAX_AGE_MS",
    text.integer(MINUTE_MS, 30 * DAY_MS, 6 * 60 * MINUTE_MS),
    "How long a container started ahead may wait before it is replaced, in milliseconds (docker).",
  ),
  imageGcMaxAgeMs: setting(
    "SHIPFOX_RUNNER_IMAGE_GC_MAX_AGE_MS",
    text.integer(0, 365 * DAY_MS, 14 * DAY_MS),
    "Images that this runner pulled and no job used for so long are removed, in milliseconds; 0 keeps them (docker).",
  ),
  imageGcMaxBytes: setting(
    "SHIPFOX_RUNNER_IMAGE_GC_MAX_BYTES",
    text.integer(0, MAX_BYTES, 0),
    "Above this size of all images that this runner pulled the longest unused go; 0 is no bound (docker).",
  ),
  exec: setting(
    "SHIPFOX_RUNNER_EXEC",
    z.enum(["fast", "plain"], { error: 'expected "fast" or "plain"' }).default("fast"),
    "How a step is started: fast, or plain to rule out a fault (docker).",
  ),
  npmrcFile: setting("SHIPFOX_RUNNER_NPMRC", optionalText, "An .npmrc file that every job gets."),
  caFile: setting(
    "SHIPFOX_RUNNER_CA_FILE",
    optionalText,
    "PEM file with further certificate authorities, for the runner, git and the jobs.",
  ),
  cancelGraceMs: setting(
    "SHIPFOX_RUNNER_CANCEL_GRACE_MS",
    text.integer(0, 10 * MINUTE_MS, 10_000),
    "From SIGTERM to SIGKILL of a cancelled step, in milliseconds.",
  ),
  preJobHook: setting(
    "SHIPFOX_RUNNER_PRE_JOB_HOOK",
    hookPath,
    "Absolute path of a program that runs on the host before each job; when it fails, the job is handed back.",
  ),
  postJobHook: setting(
    "SHIPFOX_RUNNER_POST_JOB_HOOK",
    hookPath,
    "Absolute path of a program that runs on the host after each job.",
  ),
  hookTimeoutMs: setting(
    "SHIPFOX_RUNNER_HOOK_TIMEOUT_MS",
    text.integer(1_000, 60 * MINUTE_MS, MINUTE_MS),
    "How long a hook may take, in milliseconds.",
  ),
  drainTimeoutMs: setting(
    "SHIPFOX_RUNNER_DRAIN_TIMEOUT_MS",
    text.integer(0, 7 * DAY_MS, MINUTE_MS),
    "How long running jobs may go on after SIGTERM before they are handed back, in milliseconds.",
  ),
  machineNotice: setting(
    "SHIPFOX_RUNNER_MACHINE_NOTICE",
    optionalText,
    "File that appears when this machine is about to be taken away: running jobs are handed back at once. `ec2`: the notices of EC2 instead.",
  ),
  ec2MetadataUrl: setting(
    "SHIPFOX_RUNNER_EC2_METADATA_URL",
    z.url({ protocol: /^http$/, error: "expected an http URL" }).default("http://169.254.169.254"),
    "Instance metadata service (IMDSv2), read when `SHIPFOX_RUNNER_MACHINE_NOTICE` is `ec2`.",
  ),
  registerLimitMs: setting(
    "SHIPFOX_RUNNER_REGISTER_LIMIT_MS",
    optionalInteger(1_000, MAX_TIMER_MS),
    "The runner ends with status 75 when it has no session so long after its start, in milliseconds; default: it goes on trying.",
  ),
  idleLimitMs: setting(
    "SHIPFOX_RUNNER_IDLE_LIMIT_MS",
    optionalInteger(1_000, MAX_TIMER_MS),
    "The runner ends when it has had no job for so long, in milliseconds; default: it waits for ever.",
  ),
  maxLifetimeMs: setting(
    "SHIPFOX_RUNNER_MAX_LIFETIME_MS",
    optionalInteger(1_000, MAX_TIMER_MS),
    "So long after its start the runner hands its jobs back and ends, and a minute later it is killed with all that it started, in milliseconds; default: no limit.",
  ),
  outageLimitMs: setting(
    "SHIPFOX_RUNNER_OUTAGE_LIMIT_MS",
    text.integer(1_000, DAY_MS, 60 * MINUTE_MS),
    "How long a job goes on without an answer of the control plane, in milliseconds.",
  ),
  logSpoolMaxBytes: setting(
    "SHIPFOX_RUNNER_LOG_SPOOL_MAX_BYTES",
    text.integer(MEBIBYTE, 64 * 1024 * MEBIBYTE, 64 * MEBIBYTE),
    "How much of one step's log may wait on the disk while the control plane is away, in bytes.",
  ),
  standstillLimitMs: setting(
    "SHIPFOX_RUNNER_STANDSTILL_LIMIT_MS",
    text.integer(1_000, 10 * MINUTE_MS, 20_000),
    "How long the runner may hang, alive but not answering its guard, before its jobs are killed, in milliseconds.",
  ),
  allowFileRepositories: setting(
    "SHIPFOX_GIT_ALLOW_FILE",
    text.boolean(false),
    "Whether repositories may be file:// URLs of this machine.",
  ),
  submoduleHosts: setting(
    "SHIPFOX_RUNNER_SUBMODULE_HOSTS",
    text.list("").transform((hosts) => hosts.map((host) => host.toLowerCase())),
    "Hosts besides a repository's own from which its submodules may be fetched, separated by commas.",
  ),
  httpsProxy: setting("HTTPS_PROXY", optionalText, "Proxy for https, for git and the jobs."),
  httpProxy: setting("HTTP_PROXY", optionalText, "Proxy for http, for git and the jobs."),
  noProxy: setting("NO_PROXY", optionalText, "Hosts that are reached without a proxy."),
  metricsPort: setting(
    "SHIPFOX_RUNNER_METRICS_PORT",
    text.integer(0, MAX_PORT, -1).transform((value) => (value < 0 ? null : value)),
    "Port for /metrics, /healthz and /readyz; 0 takes a free one; default: none is opened.",
  ),
  metricsHost: setting(
    "SHIPFOX_RUNNER_METRICS_HOST",
    z.string().default("127.0.0.1"),
    "Address the metrics port listens on.",
  ),
  dockerHost: setting(
    "DOCKER_HOST",
    dockerHost,
    "Docker Engine to use, such as unix:///run/docker.sock or tcp://127.0.0.1:2375 (docker).",
  ),
  logLevel: setting("SHIPFOX_LOG_LEVEL", text.logLevel(), "fatal, error, warn, info, debug, trace or silent."),
};

export type RunnerConfig = ConfigOf<typeof SETTINGS>;

/** The proxy settings under both spellings: curl and git read only the small `http_proxy`. */
export function proxyEnv(config: RunnerConfig): Record<string, string> {
  const named = { HTTPS_PROXY: config.httpsProxy, HTTP_PROXY: config.httpProxy, NO_PROXY: config.noProxy };
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(named)) {
    if (value === undefined) continue;
    env[name] = value;
    env[name.toLowerCase()] = value;
  }
  return env;
}

/** The usual authorities and those of the CA file in one PEM text; null without a CA file. Throws when it is not readable. */
export function certificateBundle(config: RunnerConfig): string | null {
  if (config.caFile === undefined) return null;
  return [...getCACertificates("default"), readFileSync(config.caFile, "utf8")].join("\n");
}

function defaultStateDir(): string {
  if (userInfo().uid === 0) return "/var/lib/shipfox-runner";
  return join(process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state"), "shipfox-runner");
}
