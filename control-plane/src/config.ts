import { join, resolve } from "node:path";
import { loadConfig, setting, text, type ConfigOf } from "@shipfox/shared/config";
import { z } from "zod";
import { REPOSITORIES_FOLDER } from "./backup/layout.ts";
import { parseListenAddress } from "./http/also-listen.ts";
import { originFault } from "./http/cors.ts";
import { parseTrustProxy } from "./http/client-address.ts";
import { parseOtlpHeaders } from "./tracing/otlp-headers.ts";

const MAX_PORT = 65_535;
const HOUR_MS = 3_600_000;
const MEBIBYTE = 1024 * 1024;
const GIBIBYTE = 1024 * MEBIBYTE;
const MAX_LIMIT = 1_000_000;
const MAX_KEPT_DAYS = 36_500;

function limit(variable: string, fallback: number, help: string) {
  return setting(variable, text.integer(0, MAX_LIMIT, fallback), `${help}; 0 for no limit`);
}

function keptDays(variable: string, fallback: number, help: string) {
  return setting(variable, text.integer(0, MAX_KEPT_DAYS, fallback), `days after which ${help}`);
}

function fileBytes(fallback: number) {
  return text.integer(MEBIBYTE, 1024 * 1024 * GIBIBYTE, fallback);
}

function lowerCaseList(form: RegExp, expected: string) {
  return text
    .list("")
    .transform((parts) => parts.map((part) => part.toLowerCase()))
    .refine((parts) => parts.every((part) => form.test(part)), { error: `${expected}, separated by commas` });
}

/** Every variable of the control plane with its default and one line of help; the docs are rendered from this table. */
export const SETTINGS = {
  port: setting("PORT", text.integer(0, MAX_PORT, 16_101), "port to listen on; 0 takes a free one"),
  host: setting("HOST", z.string().default("127.0.0.1"), "address to listen on; 0.0.0.0 for all"),
  tlsCertFile: setting(
    "SHIPFOX_TLS_CERT_FILE",
    z.string().min(1).optional(),
    "certificate of this server and those that signed it, PEM; with it the port speaks TLS. Read again when it changes",
  ),
  tlsKeyFile: setting("SHIPFOX_TLS_KEY_FILE", z.string().min(1).optional(), "private key of that certificate, PEM"),
  alsoListen: setting(
    "SHIPFOX_ALSO_LISTEN",
    text.list("").transform((addresses, context) =>
      addresses.map((text) => {
        const address = parseListenAddress(text);
        if (address !== null) return address;
        context.addIssue("expected addresses with a port such as 10.214.0.1:16101 or [fd00::1]:16101");
        return z.NEVER;
      }),
    ),
    "further addresses, separated by commas or each with a flag of its own, that serve runners and provisioners only, such as 10.214.0.1:16101; always without TLS, for networks inside this machine",
    { repeatable: true },
  ),
  metricsListen: setting(
    "SHIPFOX_METRICS_LISTEN",
    z
      .string()
      .optional()
      .transform((value, context) => {
        if (value === undefined) return null;
        const address = parseListenAddress(value);
        if (address !== null) return address;
        context.addIssue("expected an address with a port such as 127.0.0.1:9464 or [::1]:9464");
        return z.NEVER;
      }),
    "address with a port that serves /metrics to Prometheus, such as 127.0.0.1:9464; it asks for no credential, so let only the monitoring reach it",
  ),
  dataDir: setting(
    "SHIPFOX_DATA_DIR",
    z.string().default("./data"),
    "folder of the database, the logs, artifacts, caches and the root key",
  ),
  releasesDir: setting(
    "SHIPFOX_RELEASES_DIR",
    z.string().optional(),
    "folder that scripts/release filled, from which install.sh installs; default releases in the folder of an installed release",
  ),
  databaseUrl: setting(
    "SHIPFOX_DATABASE_URL",
    z
      .string()
      .regex(/^postgres(ql)?:\/\//, "expected an address that begins with postgres://; unset it to use SQLite")
      .optional(),
    "postgres://… to use PostgreSQL instead of SQLite in the data folder",
    { secret: true },
  ),
  publicUrl: setting(
    "SHIPFOX_PUBLIC_URL",
    z.url().optional(),
    "address under which users and runners reach this server; default http://localhost:PORT, with TLS https://",
  ),
  rootKey: setting(
    "SHIPFOX_ROOT_KEY",
    z.string().optional(),
    "32 bytes, base64, from which all keys are derived, replaced ones behind it, separated by commas; default root.key in the data folder",
    { secret: true },
  ),
  allowSignup: setting("SHIPFOX_ALLOW_SIGNUP", text.boolean(false), "let anybody make an account after the first one"),
  allowedEmailDomains: setting(
    "ALLOWED_EMAIL_DOMAINS",
    lowerCaseList(/^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]*[a-z0-9]$/, "expected domains such as example.com"),
    "domains of the addresses that may sign up where sign-up is open, separated by commas; without this and the next all may",
  ),
  allowedEmails: setting(
    "ALLOWED_EMAILS",
    lowerCaseList(/^[^\s@]+@[^\s@]+$/, "expected addresses such as ada@example.com"),
    "single addresses that may sign up as well, separated by commas",
  ),
  smtpHost: setting("SHIPFOX_SMTP_HOST", z.string().optional(), "mail server; without one nothing is mailed"),
  smtpPort: setting(
    "SHIPFOX_SMTP_PORT",
    z.coerce.number({ error: "expected a whole number" }).int().min(1).max(MAX_PORT).optional(),
    "port of the mail server; default 587 with starttls, 465 with implicit, 25 with none",
  ),
  smtpTls: setting(
    "SHIPFOX_SMTP_TLS",
    z.enum(["starttls", "implicit", "none"]).default("starttls"),
    "starttls (required, never skipped), implicit (TLS from the start) or none",
  ),
  smtpUser: setting("SHIPFOX_SMTP_USER", z.string().optional(), "user at the mail server"),
  smtpPassword: setting("SHIPFOX_SMTP_PASSWORD", z.string().optional(), "password at the mail server", {
    secret: true,
  }),
  smtpFrom: setting(
    "SHIPFOX_SMTP_FROM",
    z
      .string()
      .regex(
        /^(?:[^\p{Cc}<>"]* <[^\s<>@]+@[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+)$/u,
        "expected ci@example.com or Shipfox <ci@example.com>",
      )
      .optional(),
    "sender of the mails: ci@example.com or Shipfox <ci@example.com>",
  ),
  smtpCaFile: setting("SHIPFOX_SMTP_CA_FILE", z.string().optional(), "certificates of a private mail server, PEM"),
  trustProxy: setting(
    "SHIPFOX_TRUST_PROXY",
    z
      .string()
      .default("false")
      .transform((value, context) => {
        const trust = parseTrustProxy(value);
        if (trust !== null) return trust;
        context.addIssue("expected true, false, a number of proxies, or networks separated by commas");
        return z.NEVER;
      }),
    "proxies whose X-Forwarded-For is believed: false, true, how many stand in front, or their networks",
  ),
  loginLimitPerAddress: limit(
    "SHIPFOX_LOGIN_LIMIT_PER_ADDRESS",
    60,
    "sign-ins and sign-ups from one address in 5 minutes",
  ),
  loginLimitPerEmail: limit("SHIPFOX_LOGIN_LIMIT_PER_EMAIL", 10, "sign-ins of one account in 15 minutes"),
  mailLimitPerAddress: limit("SHIPFOX_MAIL_LIMIT_PER_ADDRESS", 30, "mails that one address may ask for in an hour"),
  mailLimitPerEmail: limit(
    "SHIPFOX_MAIL_LIMIT_PER_EMAIL",
    3,
    "mails to one address that strangers may ask for in an hour",
  ),
  allowedOrigins: setting(
    "BROWSER_ALLOWED_ORIGIN",
    text.list("").refine((origins) => origins.every((origin) => originFault(origin) === null), {
      error: "expected origins such as https://app.example.com or https://*.example.com, separated by commas",
    }),
    "pages of other origins that may call with a user's credential, separated by commas",
  ),
  rateReads: limit("SHIPFOX_RATE_READS", 1_200, "reading calls a minute, for each user and each access token"),
  rateWrites: limit("SHIPFOX_RATE_WRITES", 300, "changing calls a minute, for each user and each access token"),
  rateRunStarts: limit("SHIPFOX_RATE_RUN_STARTS", 20, "runs started a minute, by each user and each access token"),
  rateSettings: limit(
    "SHIPFOX_RATE_SETTINGS",
    20,
    "changes of settings and secrets a minute, by each user and each access token",
  ),
  rateMachine: limit("SHIPFOX_RATE_MACHINE", 60_000, "calls a minute of each runner session"),
  rateWebhooks: limit("SHIPFOX_RATE_WEBHOOKS", 6_000, "deliveries of webhooks a minute from one address"),
  rateStrangers: limit(
    "SHIPFOX_RATE_STRANGERS",
    600,
    "calls a minute from one address without a credential or with registration tokens",
  ),
  gitAllowFile: setting("SHIPFOX_GIT_ALLOW_FILE", text.boolean(false), "allow file:// repositories on this machine"),
  gitAllowHttp: setting("SHIPFOX_GIT_ALLOW_HTTP", text.boolean(false), "allow repositories over unencrypted http://"),
  gitAllowPrivate: setting(
    "SHIPFOX_GIT_ALLOW_PRIVATE",
    text.boolean(false),
    "allow repositories on private and loopback addresses",
  ),
  gitPollIntervalSeconds: setting(
    "SHIPFOX_GIT_POLL_INTERVAL_SECONDS",
    text.integer(0, 86_400, 60),
    "how often repositories of git connections are looked at for new commits; 0 only when their webhook is called",
  ),
  githubAppId: setting(
    "SHIPFOX_GITHUB_APP_ID",
    z.string().regex(/^\d+$/, "expected the number on the app's page").optional(),
    "id of the GitHub App; with it the GitHub integration is on and needs the settings below",
  ),
  githubAppSlug: setting(
    "SHIPFOX_GITHUB_APP_SLUG",
    z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]*$/i, "expected the name in the app's address")
      .optional(),
    "name of the GitHub App in its address, github.com/apps/<slug>",
  ),
  githubPrivateKey: setting(
    "SHIPFOX_GITHUB_PRIVATE_KEY",
    z.string().optional(),
    "private key of the GitHub App, the text of its PEM file",
    { secret: true },
  ),
  githubWebhookSecret: setting(
    "SHIPFOX_GITHUB_WEBHOOK_SECRET",
    z.string().optional(),
    "webhook secret of the GitHub App",
    { secret: true },
  ),
  githubPreviousWebhookSecret: setting(
    "SHIPFOX_GITHUB_PREVIOUS_WEBHOOK_SECRET",
    z.string().optional(),
    "the webhook secret before this one, taken as well while GitHub gets the new one",
    { secret: true },
  ),
  githubClientId: setting("SHIPFOX_GITHUB_CLIENT_ID", z.string().optional(), "client id of the GitHub App"),
  githubClientSecret: setting(
    "SHIPFOX_GITHUB_CLIENT_SECRET",
    z.string().optional(),
    "client secret of the GitHub App",
    { secret: true },
  ),
  githubApiUrl: setting(
    "SHIPFOX_GITHUB_API_URL",
    z.url({ protocol: /^https?$/ }).default("https://api.github.com"),
    "GitHub's REST API; https://<host>/api/v3 for a GitHub Enterprise Server",
  ),
  githubWebUrl: setting(
    "SHIPFOX_GITHUB_WEB_URL",
    z.url({ protocol: /^https?$/ }).default("https://github.com"),
    "GitHub's pages and repositories; https://<host> for a GitHub Enterprise Server",
  ),
  githubInstallStateSecret: setting(
    "GITHUB_INSTALL_STATE_SECRET",
    z.string().min(32, "expected at least 32 characters").optional(),
    "key that signs what goes through the browser while the GitHub App is installed; default derived from the root key",
    { secret: true },
  ),
  defaultRunnerLabels: setting(
    "DEFINITION_DEFAULT_RUNNER_LABEL",
    text.list(""),
    "labels for jobs that name no runner, separated by commas",
  ),
  leaseTermMs: setting(
    "SHIPFOX_LEASE_TERM_MS",
    text.integer(1_000, HOUR_MS, 40_000),
    "a runner that does not renew for this long has lost its job",
  ),
  heartbeatIntervalMs: setting(
    "SHIPFOX_HEARTBEAT_INTERVAL_MS",
    text.integer(100, HOUR_MS, 10_000),
    "how often runners are asked to renew",
  ),
  cancelLimitMs: setting(
    "SHIPFOX_CANCEL_LIMIT_MS",
    text.integer(500, HOUR_MS, 25_000),
    "a cancelled job's runner must be done after this long: its grace and 15 s",
  ),
  avoidMs: setting(
    "SHIPFOX_RETRY_AVOID_MS",
    text.integer(0, HOUR_MS, 60_000),
    "a job is not offered again to the session that just lost it for this long",
  ),
  logTailMs: setting(
    "SHIPFOX_LOG_TAIL_MS",
    text.integer(1_000, HOUR_MS, 120_000),
    "logs stay open this long after a job lost its runner, for a late tail",
  ),
  outageLimitMs: setting(
    "SHIPFOX_OUTAGE_LIMIT_MS",
    text.integer(60_000, 24 * HOUR_MS, HOUR_MS),
    "longest time a runner may be cut off and still hold its job",
  ),
  logBudgetBytes: setting(
    "SHIPFOX_LOG_BUDGET_BYTES",
    text.integer(65_536, 64 * 1024 * MEBIBYTE, 32 * MEBIBYTE),
    "log bytes a job may store from the start",
  ),
  logBudgetBytesPerMinute: setting(
    "SHIPFOX_LOG_BUDGET_BYTES_PER_MINUTE",
    text.integer(0, 1024 * MEBIBYTE, MEBIBYTE),
    "log bytes a job may store more for each minute since its first",
  ),
  runRetentionDays: keptDays(
    "SHIPFOX_RUN_RETENTION_DAYS",
    400,
    "runs that are over are deleted, with their jobs, logs and artifacts; 0 to keep them",
  ),
  logRetentionDays: keptDays(
    "SHIPFOX_LOG_RETENTION_DAYS",
    90,
    "logs are deleted, 0 to keep them as long as their runs; counts for logs that end after it was set",
  ),
  artifactMaxBytes: setting(
    "SHIPFOX_ARTIFACT_MAX_BYTES",
    fileBytes(2 * GIBIBYTE),
    "bytes that one artifact may have, packed",
  ),
  artifactRunBytes: setting(
    "SHIPFOX_ARTIFACT_RUN_BYTES",
    fileBytes(10 * GIBIBYTE),
    "bytes that all artifacts of a run may take",
  ),
  artifactWorkspaceBytes: setting(
    "SHIPFOX_ARTIFACT_WORKSPACE_BYTES",
    fileBytes(50 * GIBIBYTE),
    "bytes that all artifacts of a workspace may take; with that many, uploads are refused",
  ),
  artifactRetentionDays: keptDays(
    "SHIPFOX_ARTIFACT_RETENTION_DAYS",
    30,
    "an artifact is deleted whose workflow does not say, 0 to keep it as long as its run; counts for later uploads",
  ),
  cacheMaxBytes: setting("SHIPFOX_CACHE_MAX_BYTES", fileBytes(2 * GIBIBYTE), "bytes that one cache may have, packed"),
  cacheWorkspaceBytes: setting(
    "SHIPFOX_CACHE_WORKSPACE_BYTES",
    fileBytes(20 * GIBIBYTE),
    "bytes that all caches of a workspace may take; the least recently used make room for new ones",
  ),
  deletedWorkspaceRetentionDays: setting(
    "SHIPFOX_DELETED_WORKSPACE_RETENTION_DAYS",
    text.integer(1, 36_500, 30),
    "days after its deletion in which the rows and logs of a workspace are still kept",
  ),
  maxConcurrentRuns: setting(
    "SHIPFOX_MAX_CONCURRENT_RUNS",
    text.integer(0, 100_000, 0),
    "runs that a workspace without a limit of its own may have going at once, others wait; 0 for any number",
  ),
  auditRetentionDays: setting(
    "SHIPFOX_AUDIT_RETENTION_DAYS",
    text.integer(1, 36_500, 400),
    "days after which entries of the audit log are deleted",
  ),
  maxSecretsPerWorkspace: setting(
    "SECRETS_MAX_PER_WORKSPACE",
    text.integer(1, 1_000_000, 10_000),
    "secrets and variables that a workspace may have together, its projects' included",
  ),
  webhooksAllowPrivate: setting(
    "SHIPFOX_WEBHOOKS_ALLOW_PRIVATE",
    text.boolean(false),
    "let outgoing webhooks call private and loopback addresses, and http://",
  ),
  webhookTimeoutMs: setting(
    "SHIPFOX_WEBHOOK_TIMEOUT_MS",
    text.integer(100, 60_000, 10_000),
    "a receiver of an outgoing webhook must answer within this time",
  ),
  webhookDisableAfterDays: setting(
    "SHIPFOX_WEBHOOK_DISABLE_AFTER_DAYS",
    text.integer(1, 365, 5),
    "an outgoing webhook whose receiver took nothing for this many days is disabled",
  ),
  webhookDeliveryRetentionDays: setting(
    "SHIPFOX_WEBHOOK_DELIVERY_RETENTION_DAYS",
    text.integer(1, 36_500, 30),
    "days after which deliveries of outgoing webhooks are deleted",
  ),
  sentryAppSlug: setting(
    "SHIPFOX_SENTRY_APP_SLUG",
    z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]*$/i, "expected the name in the integration's address")
      .optional(),
    "slug of the Sentry integration; with it Sentry is on and needs the two settings below",
  ),
  sentryClientId: setting("SHIPFOX_SENTRY_CLIENT_ID", z.string().optional(), "client id of the Sentry integration"),
  sentryClientSecret: setting(
    "SHIPFOX_SENTRY_CLIENT_SECRET",
    z.string().optional(),
    "client secret of the Sentry integration, with which it also signs what it sends",
    { secret: true },
  ),
  sentryUrl: setting(
    "SHIPFOX_SENTRY_URL",
    z.url({ protocol: /^https?$/ }).default("https://sentry.io"),
    "where Sentry is",
  ),
  webhookPublicUrl: setting(
    "WEBHOOK_PUBLIC_URL",
    z.url().optional(),
    "address under which senders reach custom webhooks; default SHIPFOX_PUBLIC_URL",
  ),
  webhookCallsPerMinute: setting(
    "SHIPFOX_WEBHOOK_CALLS_PER_MINUTE",
    text.integer(0, 1_000_000, 600),
    "calls that one custom webhook takes in a minute; 0 for any number",
  ),
  agentAllowPrivate: setting(
    "SHIPFOX_AGENT_ALLOW_PRIVATE",
    text.boolean(false),
    "let workspaces add model providers on private and loopback addresses, and on http://",
  ),
  agentProbeTimeoutMs: setting(
    "SHIPFOX_AGENT_PROBE_TIMEOUT_MS",
    text.integer(100, 60_000, 10_000),
    "a model provider that is tested must answer within this time",
  ),
  agentProviderUrls: setting(
    "SHIPFOX_AGENT_PROVIDER_URLS",
    text.list(""),
    "other addresses of built-in model providers, as anthropic=https://proxy.example,openai=https://…",
  ),
  triggerEventRetentionDays: keptDays(
    "SHIPFOX_TRIGGER_EVENT_RETENTION_DAYS",
    30,
    "trigger events are deleted, 0 to keep them; a delivery that is repeated later than that counts as new",
  ),
  runEventRetentionDays: keptDays(
    "SHIPFOX_EVENT_RETENTION_DAYS",
    90,
    "the events of runs and runners are deleted, and the machines and runner sessions that ended; 0 to keep them. Single-use runners go once no run that is kept names them",
  ),
  maxOpenStreams: limit(
    "SHIPFOX_MAX_OPEN_STREAMS",
    8,
    "event streams that one user, or one access token, may have open",
  ),
  otlpEndpoint: setting(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    z.url({ protocol: /^https?$/ }).optional(),
    "OpenTelemetry collector that gets a trace of each run, by OTLP over HTTP with JSON, such as http://localhost:4318; /v1/traces is put behind it",
  ),
  otlpTracesEndpoint: setting(
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    z.url({ protocol: /^https?$/ }).optional(),
    "the whole address for traces, where it is another one",
  ),
  otlpHeaders: setting(
    "OTEL_EXPORTER_OTLP_HEADERS",
    z
      .string()
      .default("")
      .transform((value, context) => {
        const headers = parseOtlpHeaders(value);
        if (headers !== null) return headers;
        context.addIssue("expected name=value pairs, separated by commas, the values percent-encoded");
        return z.NEVER;
      }),
    "headers of calls to the collector, name=value separated by commas, such as for its credential",
    { secret: true },
  ),
  otelServiceName: setting(
    "OTEL_SERVICE_NAME",
    z.string().min(1).default("shipfox-control-plane"),
    "name of this service in traces",
  ),
  accessLog: setting(
    "SHIPFOX_ACCESS_LOG",
    text.boolean(false),
    "write a line to standard error for each request that is over; off, because runners make most of them, one every few seconds each",
  ),
  logLevel: setting("SHIPFOX_LOG_LEVEL", text.logLevel(), "fatal, error, warn, info, debug, trace or silent"),
} as const;

export type Config = ConfigOf<typeof SETTINGS>;

export function readConfig(env: Record<string, string | undefined>): Config {
  return loadConfig(SETTINGS, env);
}

/** Where things lie in the data folder. */
export function dataPaths(config: Config) {
  const below = (name: string) => join(config.dataDir, name);
  return {
    logs: below("logs"),
    git: below("git"),
    blobs: below("blobs"),
    /** Git repositories that the operator puts there for every workspace; absolute. */
    repositories: resolve(below(REPOSITORIES_FOLDER)),
  };
}
