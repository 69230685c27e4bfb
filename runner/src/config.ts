import { readFileSync } from "node:fs";
import { homedir, hostname, userInfo } from "node:os";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { type ConfigOf, setting, text } from "@shipfox/shared/config";
import { canonicalLabels, isLabel, MAX_LABELS } from "@shipfox/shared/labels";
import { z } from "zod";
import { parseJobUser } from "./sandbox/job-user.ts";

const MEBIBYTE = 1024 * 1024;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const MAX_CONCURRENCY = 256;
const MAX_WARM = 256;
const MAX_NAME_CHARS = 128;

const optionalText = z.string().optional();
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
  .transform((value, context) => {
    if (value === undefined) return null;
    try {
      return parseJobUser(value);
    } catch (error) {
      context.addIssue((error as Error).message);
      return z.NEVER;
    }
  });

/** Every setting of the runner: its variable, its default, one line of help. `--help` and the docs are made from it. */
export const SETTINGS = {
  apiUrl: setting("SHIPFOX_API_URL", apiUrl, "Address of the control plane."),
  registrationToken: setting(
    "SHIPFOX_RUNNER_REGISTRATION_TOKEN",
    optionalText,
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
  warm: setting(
    "SHIPFOX_RUNNER_WARM",
    text.integer(0, MAX_WARM, -1).transform((value) => (value < 0 ? null : value)),
    "Containers started ahead; default: as many as jobs at once (docker).",
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
  drainTimeoutMs: setting(
    "SHIPFOX_RUNNER_DRAIN_TIMEOUT_MS",
    text.integer(0, 7 * DAY_MS, MINUTE_MS),
    "How long running jobs may go on after SIGTERM before they are handed back, in milliseconds.",
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
  allowFileRepositories: setting(
    "SHIPFOX_GIT_ALLOW_FILE",
    text.boolean(false),
    "Whether repositories may be file:// URLs of this machine.",
  ),
  httpsProxy: setting("HTTPS_PROXY", optionalText, "Proxy for https, for git and the jobs."),
  httpProxy: setting("HTTP_PROXY", optionalText, "Proxy for http, for git and the jobs."),
  noProxy: setting("NO_PROXY", optionalText, "Hosts that are reached without a proxy."),
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
