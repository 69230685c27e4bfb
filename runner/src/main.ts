import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, loadConfig } from "@shipfox/shared/config";
import { createLogger, type Logger } from "@shipfox/shared/logger";
import { VERSION } from "@shipfox/shared/version";
import { readCommandLine } from "./command-line.ts";
import { certificateBundle, proxyEnv, type RunnerConfig, SETTINGS } from "./config.ts";
import { Backoff } from "./control-plane/backoff.ts";
import { ControlPlaneClient } from "./control-plane/client.ts";
import { Daemon } from "./daemon.ts";
import { releaseLeftovers, sendLeftovers } from "./logs/send-leftovers.ts";
import { Spool } from "./logs/spool.ts";
import { makeProvider } from "./make-provider.ts";
import { EXIT_FAILED, FatalError, register } from "./registration.ts";
import type { SandboxProvider } from "./sandbox/sandbox.ts";
import { StateFolder, StateFolderError } from "./state-folder.ts";
import { Mirrors } from "./workspace/mirror.ts";

const EXIT_USAGE = 2;
/** After the second signal the process ends, whatever is still to be cleaned up; the next start does it. */
const KILL_LIMIT_MS = 15_000;

async function start(config: RunnerConfig): Promise<number> {
  const logger = createLogger("shipfox-runner", config.logLevel);
  const state = StateFolder.open(config.stateDir);
  try {
    return await runInState(config, state, logger);
  } finally {
    state.close();
  }
}

async function runInState(config: RunnerConfig, state: StateFolder, logger: Logger): Promise<number> {
  greet(config, state);
  const authorities = certificateBundle(config);
  const client = new ControlPlaneClient({ baseUrl: config.apiUrl, certificateAuthority: authorities });
  const bundleFile = authorities === null ? null : state.writeCertificateBundle(authorities);
  const provider = await makeProvider(config, state, bundleFile, logger);
  const mirrors = new Mirrors({
    mirrorFolder: state.mirrors,
    folder: state.gitAccess,
    allowedProtocols: config.allowFileRepositories ? "https:http:ssh:file" : "https:http:ssh",
    proxyEnv: proxyEnv(config),
    caBundleFile: bundleFile,
  });
  const capabilities = { ...provider.capabilities };
  const registration = {
    client,
    state,
    apiUrl: config.apiUrl,
    registrationToken: config.registrationToken,
    labels: config.labels,
    name: config.name,
    capabilities,
    logger,
  };
  const daemon = new Daemon({
    client,
    logger,
    concurrency: config.concurrency,
    drainTimeoutMs: config.drainTimeoutMs,
    register: (signal) => register(registration, signal),
    job: {
      provider,
      mirrors,
      spoolFolder: state.spool,
      spoolMaxBytes: config.logSpoolMaxBytes,
      runnerName: config.name,
      labels: config.labels,
      capabilities,
      cancelGraceMs: config.cancelGraceMs,
      outageLimitMs: config.outageLimitMs,
    },
  });
  const stopping = stopOnSignals(daemon);
  const leftovers = Spool.leftovers(state.spool);
  const sending = sendLeftovers(leftovers, client, logger, stopping);
  try {
    await mirrors.removeUnused();
    await prepare(provider, logger, stopping);
    await releaseLeftovers(leftovers, client, logger, stopping);
    return await daemon.run();
  } finally {
    await provider
      .close()
      .catch((error: Error) => logger.warn({ error: error.message }, "the sandboxes were not all removed"));
    await sending;
    client.close();
  }
}

/** What an earlier process left is removed before the control plane hears of this one. A dead engine is waited for. */
async function prepare(provider: SandboxProvider, logger: Logger, stopping: AbortSignal): Promise<void> {
  const backoff = new Backoff();
  while (!stopping.aborted) {
    try {
      await orAborted(provider.prepare(), stopping);
      if (stopping.aborted) return;
      for (const gap of provider.describeIsolation()) logger.warn(gap);
      return;
    } catch (error) {
      const delayMs = backoff.next();
      logger.error(
        { error: (error as Error).message, next_try_ms: Math.round(delayMs) },
        "sandboxes cannot be made yet; trying again",
      );
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

/** The first signal drains, the second kills. The result is aborted by the first. */
function stopOnSignals(daemon: Daemon): AbortSignal {
  const stopping = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    if (!stopping.signal.aborted) {
      stopping.abort();
      daemon.drain(signal);
      return;
    }
    daemon.kill();
    setTimeout(() => process.exit(EXIT_FAILED), KILL_LIMIT_MS).unref();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  return stopping.signal;
}

function greet(config: RunnerConfig, state: StateFolder): void {
  const isKnown = state.readCredential(config.apiUrl) !== null;
  const next = isKnown ? "It is registered; fire a workflow." : "It registers now; then fire a workflow.";
  process.stdout.write(
    `shipfox-runner ${VERSION} for ${config.apiUrl}, state in ${state.path}; takes jobs that ask for labels among: ${config.labels.join(", ")}. ${next}\n`,
  );
}

/** No child, and nothing that a step can look at, may find the token in our environment. */
function takeConfig(flags: Record<string, string>): RunnerConfig {
  const config = loadConfig(SETTINGS, { ...process.env, ...flags });
  delete process.env[SETTINGS.registrationToken.variable];
  return config;
}

async function main(): Promise<number> {
  const commandLine = readCommandLine(process.argv.slice(2));
  if (commandLine.kind === "print") {
    process.stdout.write(`${commandLine.text}\n`);
    return 0;
  }
  if (commandLine.kind === "wrong") {
    process.stderr.write(`${commandLine.message}\n`);
    return EXIT_USAGE;
  }
  try {
    return await start(takeConfig(commandLine.env));
  } catch (error) {
    if (error instanceof FatalError || error instanceof ConfigError || error instanceof StateFolderError) {
      process.stderr.write(`shipfox-runner: ${error.message}\n`);
      return error instanceof FatalError ? error.exitCode : EXIT_FAILED;
    }
    process.stderr.write(`shipfox-runner: ${(error as Error).stack ?? String(error)}\n`);
    return EXIT_FAILED;
  }
}

process.exitCode = await main();
// A kept-alive connection or a stuck clean-up must not hold the process once everything is said.
process.exit();
