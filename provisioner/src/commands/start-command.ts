import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "@shipfox/shared/backoff";
import { isTransient, retryAfterOf } from "@shipfox/shared/call-error";
import { createLogger, type Logger } from "@shipfox/shared/logger";
import { ControlSocket } from "@shipfox/shared/operate/control-socket";
import { EXIT_COMMAND_FAILED, EXIT_CONFIGURATION } from "@shipfox/shared/operate/exit-status";
import { ServiceNotifier } from "@shipfox/shared/operate/service-notifier";
import { Budgets, SYSTEM_TIME } from "../budget/budgets.ts";
import type { ProvisionerConfig } from "../config.ts";
import type { Client, Provisioner } from "../control-plane/client.ts";
import { openClient } from "../control-plane/open-client.ts";
import { Daemon } from "../daemon.ts";
import { Fleet } from "../fleet.ts";
import { holderOf } from "../holder.ts";
import { openMetricsServer } from "../metrics-server.ts";
import { Monitor } from "../monitor.ts";
import { openProvider } from "../open-provider.ts";
import { answerPlan } from "../plan-now.ts";
import { policy } from "../policy.ts";
import { takeStateDir } from "../state-dir.ts";
import { describeHealth, healthOf, readStatus } from "../status.ts";
import { countTemplates, TemplatesSource } from "../templates-source.ts";
import type { World } from "../world.ts";
import { introduce } from "./introduce.ts";

const STOP_LIMIT_MS = 80_000;
const LOOK_AT_FILE_MS = 2_000;
const CHECK_LIMIT_MS = 60_000;

/** Works until it is stopped, drained, or its token is refused; answers the exit status. */
export async function startCommand(config: ProvisionerConfig): Promise<number> {
  const logger = createLogger("shipfox-provisioner", config.logLevel);
  const source = new TemplatesSource(config.templatesFile, config.apiUrl, logger);
  takeStateDir(config.stateDir);
  const monitor = new Monitor();
  const client = openClient(config, holderOf(config.stateDir));
  const stopping = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stopping.abort());
  const provider = await openProvider(config, source.current);
  const me = await introduceWhenThere(client, config, logger, stopping.signal);
  if (me === null) return 0;
  const world: World = {
    controlPlane: client,
    provider,
    owner: { controller: me.id, pool: source.current.pool },
    policy,
    file: () => source.current,
    fleet: new Fleet(),
    budgets: new Budgets(SYSTEM_TIME),
    monitor,
    time: SYSTEM_TIME,
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
  const control = await ControlSocket.open(
    config.stateDir,
    { status, drain: () => daemon.drain(), questions: { plan: () => answerPlan(world) } },
    logger,
  );
  const metrics = await openMetricsServer(config, world);
  let exitStatus = EXIT_COMMAND_FAILED;
  try {
    process.stdout.write(
      `shipfox-provisioner for ${config.apiUrl}: pool ${world.owner.pool}, ${countTemplates(source.current)}\n`,
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

/** Who the token is: part of every tag. Waits for a control plane that is away; null when stopped meanwhile. */
async function introduceWhenThere(
  client: Client,
  config: ProvisionerConfig,
  logger: Logger,
  signal: AbortSignal,
): Promise<Provisioner | null> {
  const backoff = new Backoff();
  while (!signal.aborted) {
    try {
      return await introduce(client, config, signal);
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
