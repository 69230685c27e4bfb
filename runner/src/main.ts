import { existsSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createLogger, type Logger } from "@shipfox/shared/logger";
import { runMain } from "@shipfox/shared/operate/program";
import { ServiceNotifier } from "@shipfox/shared/operate/service-notifier";
import { findProgramFault } from "@shipfox/shared/program-fault";
import { VERSION } from "@shipfox/shared/version";
import { type CommandLine, readCommandLine } from "./command-line.ts";
import { doctorCommand } from "./commands/doctor-command.ts";
import { drainCommand } from "./commands/drain-command.ts";
import { processOutput } from "@shipfox/shared/operate/output";
import { statusCommand } from "./commands/status-command.ts";
import { certificateBundle, proxyEnv, type RunnerConfig, SETTINGS } from "./config.ts";
import {
  parseConfigurationFile,
  readConfiguration,
  secretFileOf,
  type Variables,
} from "@shipfox/shared/operate/configuration";
import { environmentOfService } from "@shipfox/shared/operate/installed-service";
import { Backoff } from "@shipfox/shared/backoff";
import { ControlPlaneClient } from "./control-plane/client.ts";
import { Daemon } from "./daemon.ts";
import { DiskWatch } from "./disk/disk-watch.ts";
import type { HookSettings } from "./job/job-hooks.ts";
import { endFormerGuard, noteGuard } from "./guard/former-guard.ts";
import { Guard } from "./guard/guard-process.ts";
import { releaseLeftovers, sendLeftovers } from "./logs/send-leftovers.ts";
import { Spool } from "./logs/spool.ts";
import { watchForEc2Notice } from "./ec2-notice.ts";
import { watchForNotice } from "./machine-notice.ts";
import { LifeWatch } from "./life-limits.ts";
import { makeProvider } from "./make-provider.ts";
import { ControlSocket } from "@shipfox/shared/operate/control-socket";
import { LabelSync } from "./operate/label-sync.ts";
import { openMetricsServer } from "./operate/metrics-server.ts";
import { Monitor } from "./operate/monitor.ts";
import { Reload } from "./operate/reload.ts";
import { readStatus, type Status } from "./operate/status.ts";
import { serviceOf } from "./operate/service.ts";
import { EXIT_FAILED, EXIT_NOT_REGISTERED, FatalError, isSingleUse, register } from "./registration.ts";
import type { SandboxProvider } from "./sandbox/sandbox.ts";
import { StateFolder, StateFolderError } from "./state-folder.ts";
import { Mirrors } from "./workspace/mirror.ts";

const EXIT_USAGE = 2;
const INSTALLED = {
  file: "/etc/shipfox/runner.env",
  parse: parseInstalled,
  names: [SETTINGS.configFile.variable, SETTINGS.stateDir.variable],
};
/** After the second signal the process ends, whatever is still to be cleaned up; the next start does it. */
const KILL_LIMIT_MS = 15_000;
/** For handing the jobs back at the end of the longest life, before the guard kills whatever is left. */
const LAST_WORK_MS = 60_000;

/** The configuration, and the file from which the registration token came. */
interface Taken {
  readonly config: RunnerConfig;
  readonly tokenFile: string | null;
}

async function start(taken: Taken, reread: () => RunnerConfig): Promise<number> {
  const { config } = taken;
  const logger = createLogger("shipfox-runner", config.logLevel);
  const state = StateFolder.open(config.stateDir);
  try {
    return await runInState(taken, reread, state, logger);
  } finally {
    state.close();
  }
}

async function runInState(
  { config, tokenFile }: Taken,
  reread: () => RunnerConfig,
  state: StateFolder,
  logger: Logger,
): Promise<number> {
  greet(config, state);
  const monitor = new Monitor(config);
  const systemd = new ServiceNotifier(process.env, serviceOf(monitor, { logger, ...config }));
  const authorities = certificateBundle(config);
  const client = new ControlPlaneClient({
    baseUrl: config.apiUrl,
    certificateAuthority: authorities,
    observer: monitor,
  });
  const bundleFile = authorities === null ? null : state.writeCertificateBundle(authorities);
  await endFormerGuard(state.guardNote, logger);
  const guard = await Guard.start({
    baseUrl: config.apiUrl,
    certificateAuthority: authorities,
    standstillLimitMs: config.standstillLimitMs,
    lifetimeLimitMs: config.maxLifetimeMs === undefined ? null : config.maxLifetimeMs + LAST_WORK_MS,
    observer: monitor,
    logger,
  });
  noteGuard(state.guardNote, guard.pid);
  const provider = await makeProvider({ config, state, certificateBundleFile: bundleFile, lifelines: guard, logger });
  const mirrors = new Mirrors({
    mirrorFolder: state.mirrors,
    folder: state.gitAccess,
    allowedProtocols: config.allowFileRepositories ? "https:http:ssh:file" : "https:http:ssh",
    submoduleHosts: config.submoduleHosts,
    proxyEnv: proxyEnv(config),
    caBundleFile: bundleFile,
  });
  const capabilities = { ...provider.capabilities, files: true };
  const registration = {
    client,
    state,
    apiUrl: config.apiUrl,
    registrationToken: config.registrationToken,
    get labels() {
      return monitor.labels;
    },
    name: config.name,
    capabilities,
    logger,
  };
  const labels = new LabelSync(client, monitor, logger);
  let hasRegistered = false;
  const daemon = new Daemon({
    client,
    logger,
    drainTimeoutMs: config.drainTimeoutMs,
    idleLimitMs: config.idleLimitMs ?? null,
    monitor,
    register: (signal) => register(registration, signal),
    onSession: (session) => {
      hasRegistered = true;
      labels.opened(session);
    },
    onClaim: () => removeUsedToken(config, tokenFile, logger),
    onReady: () => systemd.ready(),
    job: {
      keeper: guard,
      provider,
      mirrors,
      spoolFolder: state.spool,
      spoolMaxBytes: config.logSpoolMaxBytes,
      runnerName: config.name,
      capabilities,
      cancelGraceMs: config.cancelGraceMs,
      outageLimitMs: config.outageLimitMs,
      disk: new DiskWatch({
        floor: { bytes: config.diskFloorBytes, inodes: config.diskFloorInodes },
        limitBytes: config.diskLimitBytes ?? null,
        paths: () => [state.path, ...provider.diskPaths()],
        logger,
      }),
      hooks: await checkedHooks(config),
    },
  });
  const drain = stopOnSignals(daemon, systemd);
  const leave = (why: string) => {
    drain.begin(why);
    daemon.leave(why);
  };
  const unwatch = leaveOnNotice(config, logger, leave);
  const life = new LifeWatch({
    limits: config,
    logger,
    hasRegistered: () => hasRegistered,
    giveUp: drain.begin,
    leave,
  });
  guard.lost.addEventListener("abort", () => daemon.fail("The runner's guard process is gone."));
  const stopping = AbortSignal.any([drain.signal, guard.lost]);
  const reload = new Reload({ read: reread, current: config, resize: (jobs) => daemon.resize(jobs), labels, logger });
  process.on("SIGHUP", () => {
    // Without a file there is nothing to read again: the terminal was closed.
    if (config.configFile === undefined) return drain.begin("SIGHUP");
    systemd.reloading();
    systemd.reloaded(reload.run());
  });
  const status = () =>
    readStatus({
      monitor,
      name: config.name,
      apiUrl: config.apiUrl,
      sandbox: config.sandbox,
      spoolFolder: state.spool,
      warm: () => provider.describePool(),
      guard: () => ({ state: guard.status().isAlive ? "running" : "gone", pid: guard.pid }),
    });
  const control = await ControlSocket.open(
    state.path,
    { status, drain: () => drain.begin("shipfox-runner drain") },
    logger,
  );
  let exitStatus = EXIT_FAILED;
  let metrics: Server | null = null;
  const leftovers = Spool.leftovers(state.spool);
  const sending = sendLeftovers(leftovers, client, logger, stopping);
  try {
    metrics = await openMetrics(config, monitor, status, logger);
    await mirrors.removeUnused();
    await prepare(provider, monitor, logger, stopping);
    await releaseLeftovers(leftovers, client, logger, stopping);
    exitStatus = await daemon.run();
    if (life.gaveUp) exitStatus = EXIT_NOT_REGISTERED;
    return exitStatus;
  } finally {
    unwatch();
    life.stop();
    labels.stop();
    await provider
      .close()
      .catch((error: Error) => logger.warn({ error: error.message }, "the sandboxes were not all removed"));
    await sending;
    await guard.close();
    client.close();
    await control.close(exitStatus);
    metrics?.close();
    await systemd.close();
  }
}

/** A hook that could not run would hand every job back, so the runner does not start with it. */
async function checkedHooks(config: RunnerConfig): Promise<HookSettings> {
  const { preJobHook, postJobHook, hookTimeoutMs } = config;
  for (const hook of [preJobHook, postJobHook]) {
    const fault = hook === undefined ? null : await findProgramFault(hook);
    if (fault !== null) throw new FatalError(`the hook cannot be used: ${fault}`);
  }
  return { preJob: preJobHook ?? null, postJob: postJobHook ?? null, timeoutMs: hookTimeoutMs };
}

/** What an earlier process left is removed before the control plane hears of this one. A dead engine is waited for. */
async function prepare(
  provider: SandboxProvider,
  monitor: Monitor,
  logger: Logger,
  stopping: AbortSignal,
): Promise<void> {
  const backoff = new Backoff();
  let told: string | null = null;
  while (!stopping.aborted) {
    try {
      await orAborted(provider.prepare(), stopping);
      if (stopping.aborted) return;
      if (told !== null) logger.info("sandboxes can be made now");
      monitor.setFault("sandbox", null);
      for (const gap of provider.describeIsolation()) logger.warn(gap);
      return;
    } catch (error) {
      const delayMs = backoff.next();
      const { message } = error as Error;
      monitor.setFault("sandbox", `sandboxes cannot be made: ${message}`);
      const facts = { next_try_ms: Math.round(delayMs) };
      if (message === told) logger.debug(facts, "sandboxes still cannot be made");
      else logger.error(facts, `${message} No sandbox can be made until then; trying again, without saying this again`);
      told = message;
      await sleep(delayMs, undefined, { signal: stopping }).catch(() => {});
    }
  }
}

/** Waits for `work`, but not longer than until the abort: an image may take minutes to arrive. */
async function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  work.catch(() => {});
  await Promise.race([work, aborted]);
}

async function openMetrics(
  config: RunnerConfig,
  monitor: Monitor,
  status: () => Promise<Status>,
  logger: Logger,
): Promise<Server | null> {
  if (config.metricsPort === null) return null;
  const server = await openMetricsServer({ host: config.metricsHost, port: config.metricsPort }, monitor, status);
  const { port } = server.address() as AddressInfo;
  logger.info({ host: config.metricsHost, port }, "serving /metrics, /healthz and /readyz");
  return server;
}

/** A machine that goes soon says so by a file, by EC2's metadata or by SIGPWR. The result stops the watching. */
function leaveOnNotice(config: RunnerConfig, logger: Logger, leave: (why: string) => void): () => void {
  process.on("SIGPWR", () => leave("SIGPWR: the machine is about to lose its power"));
  const { machineNotice, ec2MetadataUrl } = config;
  if (machineNotice === undefined) return () => {};
  if (machineNotice === "ec2") {
    const onNotice = (what: string) => leave(`EC2 announced ${what}: the machine is about to be taken away`);
    return watchForEc2Notice({ baseUrl: ec2MetadataUrl, logger, onNotice });
  }
  return watchForNotice(machineNotice, () => leave(`${machineNotice} appeared: the machine is about to be taken away`));
}

/** The first signal, or `begin`, drains; a signal after that kills. `signal` is aborted by the first. */
function stopOnSignals(
  daemon: Daemon,
  systemd: ServiceNotifier,
): { signal: AbortSignal; begin: (why: string) => void } {
  const stopping = new AbortController();
  const begin = (why: string) => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    daemon.drain(why);
    systemd.stopping();
  };
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    begin(signal);
    signals += 1;
    if (signals < 2) return;
    daemon.kill();
    setTimeout(() => process.exit(EXIT_FAILED), KILL_LIMIT_MS).unref();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  return { signal: stopping.signal, begin };
}

function greet(config: RunnerConfig, state: StateFolder): void {
  const isKnown = state.readCredential(config.apiUrl) !== null;
  const next = isKnown ? "It is registered; fire a workflow." : "It registers now; then fire a workflow.";
  process.stdout.write(
    `shipfox-runner ${VERSION} for ${config.apiUrl}, state in ${state.path}; takes jobs that ask for labels among: ${config.labels.join(", ")}. ${next}\n`,
  );
}

/** A token for one machine and one job is worth nothing once the job was given, and a step should not even see that there was one. */
function removeUsedToken(config: RunnerConfig, tokenFile: string | null, logger: Logger): void {
  if (tokenFile === null || !isSingleUse(config.registrationToken)) return;
  try {
    rmSync(tokenFile, { force: true });
  } catch (error) {
    logger.warn({ file: tokenFile, error: (error as Error).message }, "the file of the used token cannot be removed");
  }
}

/** No child, and nothing that a step can look at, may find the token in our environment. */
function takeConfig(env: Variables, flags: Variables): Taken {
  const config = readConfiguration(SETTINGS, env, flags);
  const tokenFile = secretFileOf(SETTINGS, SETTINGS.registrationToken, env, flags);
  delete process.env[SETTINGS.registrationToken.variable];
  return { config: isSingleUse(config.registrationToken) ? { ...config, concurrency: 1 } : config, tokenFile };
}

/** Of a machine for one job the file of the token is gone as soon as it has been used. */
function parseInstalled(text: string, file: string): Variables {
  const { [`${SETTINGS.registrationToken.variable}_FILE`]: tokenFile, ...others } = parseConfigurationFile(
    SETTINGS,
    text,
    file,
  );
  return tokenFile !== undefined && existsSync(tokenFile)
    ? { ...others, [`${SETTINGS.registrationToken.variable}_FILE`]: tokenFile }
    : others;
}

/** All commands but `start` look at the runner of this machine. */
function environmentOf({ kind, env: flags }: { kind: string; env: Variables }): Variables {
  if (kind === "start") return process.env;
  const note = (text: string) => processOutput.note(`shipfox-runner: ${text}`);
  return environmentOfService(INSTALLED, { env: process.env, flags, note });
}

async function runCommand(command: Exclude<CommandLine, { kind: "print" | "wrong" }>): Promise<number> {
  const taken = takeConfig(environmentOf(command), command.env);
  const { config } = taken;
  if (command.kind === "status") return await statusCommand(config.stateDir, command.json, processOutput);
  if (command.kind === "doctor") return await doctorCommand(config, command.json, processOutput);
  if (command.kind === "drain") {
    const interrupted = new AbortController();
    process.once("SIGINT", () => interrupted.abort());
    return await drainCommand(config.stateDir, { ...command, interrupted: interrupted.signal }, processOutput);
  }
  return await start(taken, () => readConfiguration(SETTINGS, process.env, command.env));
}

await runMain({
  name: "shipfox-runner",
  command: readCommandLine(process.argv.slice(2)),
  usageStatus: EXIT_USAGE,
  run: runCommand,
  statusOf: (error) => {
    if (error instanceof FatalError) return error.exitCode;
    return error instanceof StateFolderError ? EXIT_FAILED : null;
  },
});
