import { mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MAX_DEMAND_WAIT_SECONDS } from "@shipfox/shared/provisioner";
import { Backoff } from "@shipfox/shared/backoff";
import { isTransient, RefusedError, retryAfterOf } from "@shipfox/shared/call-error";
import { ConfigError } from "@shipfox/shared/config";
import { createLogger, type Logger } from "@shipfox/shared/logger";
import { readConfiguration } from "@shipfox/shared/operate/configuration";
import { ControlClient, ControlError, NotRunningError } from "@shipfox/shared/operate/control-client";
import { ControlSocket } from "@shipfox/shared/operate/control-socket";
import { METRICS_CONTENT_TYPE } from "@shipfox/shared/operate/metrics-text";
import { formatSeconds, processOutput, renderTable } from "@shipfox/shared/operate/output";
import { ServiceNotifier } from "@shipfox/shared/operate/service-notifier";
import { createSmallServer, textReply } from "@shipfox/shared/operate/small-server";
import { takeLock } from "@shipfox/shared/process-lock";
import { Budgets, type Time } from "./budget/budgets.ts";
import { readCommandLine } from "./command-line.ts";
import { certificateBundle, type ProvisionerConfig, SETTINGS } from "./config.ts";
import { Client, isTokenRefused, otherHolder, type Provisioner } from "./control-plane/client.ts";
import { Daemon } from "./daemon.ts";
import { type Provider, ProviderError } from "./drivers/driver.ts";
import { DRIVERS } from "./drivers/registry.ts";
import { Fleet } from "./fleet.ts";
import { type Holder, holderOf, newHolder } from "./holder.ts";
import { renderMetrics } from "./metrics.ts";
import { Monitor } from "./monitor.ts";
import { policy } from "./policy.ts";
import { healthOf, readStatus, type Status, statusSchema } from "./status.ts";
import { templatesFileSchema } from "./templates/json-schema.ts";
import { driverOf, loadTemplates, TemplatesSource } from "./templates-source.ts";
import type { World } from "./world.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const EXIT_CONFIGURATION = 78;
const STOP_LIMIT_MS = 80_000;
const LOOK_AT_FILE_MS = 2_000;
const CHECK_LIMIT_MS = 60_000;
const LOOK_INTERVAL_MS = 1_000;
const PROVISIONER = { name: "provisioner", statusSchema };

const time: Time = { monotonic: () => performance.now(), now: () => Date.now(), random: () => Math.random() };

function openClient(config: ProvisionerConfig, holder: Holder): Client {
  if (config.token === undefined)
    throw new ConfigError(
      "SHIPFOX_PROVISIONER_TOKEN, or SHIPFOX_PROVISIONER_TOKEN_FILE, must name the provisioner token.",
    );
  return new Client({
    baseUrl: config.apiUrl,
    token: config.token,
    holder,
    certificateAuthority: certificateBundle(config),
  });
}

async function start(config: ProvisionerConfig): Promise<number> {
  const logger = createLogger("shipfox-provisioner", config.logLevel);
  const source = new TemplatesSource(config.templatesFile, config.apiUrl, logger);
  mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
  const other = takeLock(join(config.stateDir, "lock"));
  if (other !== null)
    throw new ConfigError(
      `Another provisioner (process ${other}) uses ${config.stateDir}; give each its own SHIPFOX_PROVISIONER_STATE_DIR.`,
    );
  const monitor = new Monitor();
  const client = openClient(config, holderOf(config.stateDir));
  const stopping = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stopping.abort());
  const provider = await openProvider(config, source);
  const me = await introduce(client, logger, stopping.signal);
  if (me === null) return 0;
  const world: World = {
    controlPlane: client,
    provider,
    owner: { controller: me.id, pool: source.current.pool },
    policy,
    file: () => source.current,
    fleet: new Fleet(),
    budgets: new Budgets(time),
    monitor,
    time,
    logger,
  };
  await warnOfFaults(world);
  return await runDaemon(config, world, source, stopping.signal).finally(() => client.close());
}

async function runDaemon(
  config: ProvisionerConfig,
  world: World,
  source: TemplatesSource,
  stopping: AbortSignal,
): Promise<number> {
  const { monitor, logger, budgets, provider } = world;
  const daemon = new Daemon(world, { convergeMs: config.convergeMs });
  const service = new ServiceNotifier(process.env, {
    logger,
    status: () => describeHealth(healthOf(world)),
    whyStarved: () => null,
    stopLimitMs: STOP_LIMIT_MS,
  });
  stopping.addEventListener("abort", () => {
    service.stopping();
    daemon.stop();
  });
  const reload = (always: boolean) => {
    const isNew = source.reload(always);
    monitor.templatesFault = source.fault;
    if (!isNew) return;
    budgets.keep(new Set(source.current.templates.map(({ key }) => key)));
    daemon.wake();
  };
  process.on("SIGHUP", () => {
    service.reloading();
    reload(true);
    service.reloaded(monitor.templatesFault === null ? "reloaded" : "reload refused: the templates file is not valid");
  });
  const look = setInterval(() => reload(false), LOOK_AT_FILE_MS);
  const status = async () => readStatus(world);
  const control = await ControlSocket.open(config.stateDir, { status, drain: () => daemon.drain() }, logger);
  const metrics = await openMetrics(config, world);
  let exitStatus = EXIT_FAILED;
  try {
    process.stdout.write(
      `shipfox-provisioner for ${config.apiUrl}: pool ${world.owner.pool}, ${source.current.templates.length} templates\n`,
    );
    service.ready();
    const end = await daemon.run();
    exitStatus = end === "token-refused" ? EXIT_CONFIGURATION : 0;
    logger.info({ end }, "the provisioner ends; machines are left as they are");
    return exitStatus;
  } finally {
    clearInterval(look);
    metrics?.close();
    await control.close(exitStatus);
    await provider.close();
    await service.close();
  }
}

function openProvider(config: ProvisionerConfig, { current }: Pick<TemplatesSource, "current">): Promise<Provider> {
  const stateDir = resolve(config.stateDir, "driver");
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  return driverOf(current).open(current.provider.settings, {
    stateDir,
    baseDir: dirname(resolve(config.templatesFile)),
  });
}

/** Who the token is: part of every tag. Waits for a control plane that is away; null when stopped meanwhile. */
async function introduce(client: Client, logger: Logger, signal: AbortSignal): Promise<Provisioner | null> {
  const backoff = new Backoff();
  while (!signal.aborted) {
    try {
      return await client.me(signal);
    } catch (error) {
      if (signal.aborted) return null;
      if (!isTransient(error)) throw error;
      logger.warn({ error: (error as Error).message }, "the control plane is waited for");
      await sleep(backoff.next(retryAfterOf(error)), undefined, { signal }).catch(() => {});
    }
  }
  return null;
}

/** What keeps templates from working is said at once; the circuit keeps it from doing harm. */
async function warnOfFaults({ provider, file, logger }: World): Promise<void> {
  const machines = file().templates.map(({ machine }) => machine);
  const faults = await provider
    .check(machines, AbortSignal.timeout(CHECK_LIMIT_MS))
    .catch((error: Error) => [error.message]);
  for (const fault of faults) logger.warn(fault);
}

async function openMetrics({ metricsHost, metricsPort }: ProvisionerConfig, world: World) {
  if (metricsPort === null) return null;
  const health = async (isReadiness: boolean) => {
    const { state, reason } = healthOf(world);
    const isWell = state !== "unhealthy" && (!isReadiness || world.monitor.lastListAt !== null);
    return textReply(isWell ? 200 : 503, `${state}${reason === null ? "" : `: ${reason}`}`);
  };
  const server = createSmallServer({
    "GET /metrics": async () => ({
      status: 200,
      contentType: METRICS_CONTENT_TYPE,
      body: renderMetrics(world.monitor, readStatus(world)),
    }),
    "GET /healthz": () => health(false),
    "GET /readyz": () => health(true),
  });
  await new Promise<void>((done, fail) => {
    server.once("error", (error) => fail(new ConfigError(`The metrics cannot be served: ${error.message}.`)));
    server.listen(metricsPort, metricsHost, done);
  });
  world.logger.info({ address: server.address() }, "serving /metrics, /healthz and /readyz");
  return server;
}

function describeHealth({ state, reason }: Status["health"]): string {
  return reason === null ? state : `${state}: ${reason}`;
}

async function validate(config: ProvisionerConfig, offline: boolean): Promise<number> {
  const file = loadTemplates(config.templatesFile, config.apiUrl);
  processOutput.print(`${config.templatesFile}: ${file.templates.length} templates, valid`);
  if (offline) return 0;
  const provider = await openProvider(config, { current: file });
  try {
    const machines = file.templates.map(({ machine }) => machine);
    const faults = await provider.check(machines, AbortSignal.timeout(CHECK_LIMIT_MS));
    for (const fault of faults) processOutput.note(fault);
    if (faults.length === 0) processOutput.print(`${file.provider.kind}: ready`);
    return faults.length === 0 ? 0 : EXIT_FAILED;
  } finally {
    await provider.close();
  }
}

/** Asks without reserving: what waits, and which templates could take it. */
async function plan(config: ProvisionerConfig, json: boolean): Promise<number> {
  const file = loadTemplates(config.templatesFile, config.apiUrl);
  const situation = {
    file,
    counts: new Map(),
    allowances: new Map(
      file.templates.map((one) => [one.key, { creations: Number.POSITIVE_INFINITY, fault: null }] as const),
    ),
    creationsLeft: Number.POSITIVE_INFINITY,
    now: Date.now(),
  };
  const client = openClient(config, newHolder());
  try {
    const { stats } = await client.pollDemand(
      { templates: policy.advertise(situation), maxReservations: 0, waitSeconds: 0 },
      AbortSignal.timeout(MAX_DEMAND_WAIT_SECONDS * 1_000),
    );
    const wanted = stats.map((one) => ({
      labels: one.labels,
      capabilities: one.capabilities,
      expires_at: "",
      reservation_id: one.labels.join(","),
      count: one.queued - one.covered,
    }));
    const creations = policy.create(situation, wanted);
    if (json) processOutput.print(JSON.stringify({ demand: stats, create: creations }, null, 2));
    else
      for (const one of stats)
        processOutput.print(
          `${one.labels.join(", ")}: ${one.queued} jobs wait, ${one.covered} have a runner on its way`,
        );
    if (!json)
      for (const { key } of file.templates) {
        const count = creations.filter(({ templateKey }) => templateKey === key).length;
        if (count > 0) processOutput.print(`${key}: would create ${count}`);
      }
    return 0;
  } catch (error) {
    const holder = otherHolder(error);
    if (!holder) throw error;
    processOutput.note(
      `The daemon on ${holder.host} works with this token: "shipfox-provisioner status" there shows what it does.`,
    );
    return EXIT_FAILED;
  } finally {
    await client.letGo(AbortSignal.timeout(LOOK_INTERVAL_MS * 5)).catch(() => {});
    client.close();
  }
}

function showStatus(status: Status): void {
  processOutput.print(
    `${describeHealth(status.health)}; pool ${status.pool}, ${status.provider}, process ${status.pid}, up ${formatSeconds((Date.now() - Date.parse(status.started_at)) / 1_000)}`,
  );
  const { foreign, unknown, doubted, deletions_waiting: waiting } = status.machines;
  processOutput.print(
    `machines left alone: ${foreign + unknown}; missing from the list: ${doubted}; deletions that wait: ${waiting}`,
  );
  const rows = status.templates.map((one) =>
    [one.template_key, one.starting, one.idle, one.busy, one.leaving, one.circuit, one.fault ?? ""].map((cell) => ({
      text: `${cell}`,
    })),
  );
  processOutput.print(
    renderTable(processOutput, ["TEMPLATE", "STARTING", "IDLE", "BUSY", "LEAVING", "CIRCUIT", "FAULT"], rows),
  );
}

async function drain(config: ProvisionerConfig, json: boolean): Promise<number> {
  const control = new ControlClient(config.stateDir, PROVISIONER);
  const stop = new AbortController();
  const ended = control.ended(stop.signal);
  let shown = "";
  const show = (status: Status) => {
    const left = status.templates.reduce((sum, one) => sum + one.starting + one.idle + one.busy + one.leaving, 0);
    const busy = status.templates.reduce((sum, one) => sum + one.busy, 0);
    const text = json ? JSON.stringify({ left, busy }) : `draining: ${left} instances left, ${busy} with a job`;
    if (text !== shown) processOutput.print(text);
    shown = text;
  };
  show(await control.drain());
  for (;;) {
    const end = await Promise.race([ended.then((exit) => ({ exit })), sleep(LOOK_INTERVAL_MS, null)]);
    if (end) {
      stop.abort();
      processOutput.print(json ? JSON.stringify({ exit_status: end.exit }) : "drained: the provisioner has ended");
      return end.exit === 0 ? 0 : EXIT_FAILED;
    }
    await control.status().then(show, () => {});
  }
}

async function main(): Promise<number> {
  const commandLine = readCommandLine(process.argv.slice(2));
  if (commandLine.kind === "print") {
    process.stdout.write(`${commandLine.text}\n`);
    return 0;
  }
  if (commandLine.kind === "schema") {
    const text = `${JSON.stringify(templatesFileSchema(DRIVERS), null, 2)}\n`;
    // More than a pipe takes at once: the process must not end before it is read.
    await new Promise<void>((done) => process.stdout.write(text, () => done()));
    return 0;
  }
  if (commandLine.kind === "wrong") {
    process.stderr.write(`${commandLine.message}\n`);
    return EXIT_USAGE;
  }
  try {
    const config = readConfiguration(SETTINGS, process.env, commandLine.env);
    // No child may find it.
    delete process.env[SETTINGS.token.variable];
    if (commandLine.kind === "validate") return await validate(config, commandLine.offline);
    if (commandLine.kind === "plan") return await plan(config, commandLine.json);
    if (commandLine.kind === "drain") return await drain(config, commandLine.json);
    if (commandLine.kind === "start") return await start(config);
    const status = await new ControlClient(config.stateDir, PROVISIONER).status();
    if (commandLine.json) processOutput.print(JSON.stringify(status, null, 2));
    else showStatus(status);
    return status.health.state === "unhealthy" ? EXIT_FAILED : 0;
  } catch (error) {
    const known = [ConfigError, ControlError, NotRunningError, ProviderError, RefusedError].some(
      (kind) => error instanceof kind,
    );
    process.stderr.write(
      `shipfox-provisioner: ${known ? (error as Error).message : ((error as Error).stack ?? String(error))}\n`,
    );
    return error instanceof ConfigError || isTokenRefused(error) ? EXIT_CONFIGURATION : EXIT_FAILED;
  }
}

process.exitCode = await main();
process.exit();
