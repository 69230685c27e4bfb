import { existsSync, mkdirSync, statSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { dirname, resolve } from "node:path";
import { ConfigError, UsageError } from "@shipfox/shared/config";
import { describeSettings, parseFlags } from "@shipfox/shared/flags";
import { createLogger } from "@shipfox/shared/logger";
import { parseEnvironmentFile, type Variables } from "@shipfox/shared/operate/configuration";
import { environmentOfService } from "@shipfox/shared/operate/installed-service";
import { METRICS_CONTENT_TYPE } from "@shipfox/shared/operate/metrics-text";
import { EXIT_CONFIGURATION } from "@shipfox/shared/operate/exit-status";
import { processOutput } from "@shipfox/shared/operate/output";
import { createSmallServer } from "@shipfox/shared/operate/small-server";
import { ServiceNotifier } from "@shipfox/shared/operate/service-notifier";
import { VERSION } from "@shipfox/shared/version";
import { startApp, type App } from "./app.ts";
import { assertNotRestoring } from "./backup/restore-backup.ts";
import { recoverCommand, setupCommand } from "./commands/account-commands.ts";
import { adminCommand } from "./commands/admin-command.ts";
import { MIGRATE_OPTIONS, migrateCommand, migrationStatus } from "./commands/migrate-command.ts";
import { becomeOwnerOf, giveToOwnerOf } from "./commands/data-owner.ts";
import { doctorCommand } from "./commands/doctor-command.ts";
import { CONFIG_OPTIONS, configCommand } from "./commands/config-command.ts";
import { BACKUP_OPTIONS, backupCommand, restoreCommand, verifyCommand } from "./commands/backup-commands.ts";
import { readConfig, SETTINGS, type Config } from "./config.ts";
import { openAccessLog } from "./http/access-log.ts";
import { tlsFiles } from "./http/certificate.ts";
import { KeyRing, RootKeyError } from "./modules/secrets/public.ts";
import { StoreRefusal } from "./store/errors.ts";
import { unknownSettings } from "./unknown-settings.ts";
import { within } from "./within.ts";

const EXIT_FAILED = 1;
/** As in sysexits.h, and as the command line `shipfox` has it. */
const EXIT_USAGE = 64;
const INSTALLED = {
  file: "/etc/shipfox/control-plane.env",
  parse: parseEnvironmentFile,
  names: [SETTINGS.dataDir.variable],
};
/** Commands about the server of this machine. */
const ABOUT_SERVER: ReadonlySet<string> = new Set([
  "setup",
  "recover",
  "backup",
  "restore",
  "migrate",
  "admin",
  "config",
  "doctor",
]);
/** Those of root that are done as the owner of the data folder. A backup is read and made where only root may. */
const AS_OWNER: ReadonlySet<string> = new Set(["setup", "recover", "migrate", "admin", "doctor"]);
/** Of a refused setting. A command that has good ones and cannot do its work ends with EXIT_FAILED. */
let configStatus = EXIT_CONFIGURATION;
/** A stop takes no longer, whatever hangs: 5.5 seconds for clients, 2.5 for work in the background, the rest for the database. */
const STOP_LIMIT_MS = 9_500;
/** What systemd is told; longer than any stop takes. */
const KILL_AFTER_MS = 30_000;
const DATA_DIR_MODE = 0o700;
const OTHERS_NOTHING = 0o077;
const LISTEN_ADVICE: Record<string, string> = {
  EADDRINUSE: "is taken; stop the other process or choose another with --port",
  EADDRNOTAVAIL: "is no address of this machine; choose one with --host",
  ENOTFOUND: "is no address of this machine; choose one with --host",
  EACCES: "may be opened by root only; choose another with --port",
};

const HELP = `shipfox-control-plane ${VERSION}: the server of Shipfox, self-hosted

Usage: shipfox-control-plane [start|setup|recover EMAIL|backup FOLDER|verify FOLDER|restore FOLDER|migrate|
                             admin list|admin promote EMAIL|config [NAME]|doctor] [flags]

  start   run the server (the default)
  setup   print the token with which another machine makes the first account
  recover print a link with which an account gets a new password, where mail or an administrator cannot help
  backup  copy all data into a new folder while the server runs; --with-keys also the root keys, which open all secrets;
          on PostgreSQL --dump FILE takes what pg_dump wrote just before
  verify  read all of a backup and say whether it can be restored
  restore put a backup into an empty data folder
  migrate bring the database up to this release without serving; --status only says what would be applied
  admin   list the administrators, or make an account an owner of the server, while the server is stopped
  config  show every setting with its value and where that comes from, or one with its help; secrets are masked; --json
  doctor  check what the server needs on this machine, also while it runs, and say what to do; --json

Examples:
  shipfox-control-plane --port 8080 --data-dir /var/lib/shipfox
  SHIPFOX_DATABASE_URL=postgres://shipfox@db/shipfox shipfox-control-plane
  shipfox-control-plane backup /backups/monday
  shipfox-control-plane config SHIPFOX_PUBLIC_URL

Settings, as flag or environment variable:
${describeSettings(SETTINGS)}
`;

/** An address that is taken: it may be free at the next start. */
class ListenError extends Error {}

async function main(argv: readonly string[]): Promise<void> {
  const flags = parseFlags(SETTINGS, argv, { ...BACKUP_OPTIONS, ...CONFIG_OPTIONS, ...MIGRATE_OPTIONS });
  if (flags.help) return void process.stdout.write(HELP);
  if (flags.version) return void process.stdout.write(`${VERSION}\n`);
  const [command = "start", folder] = flags.words;
  const env = environmentOf(command, flags.variables);
  const config = readConfig({ ...env, ...flags.variables });
  if (command !== "start") configStatus = EXIT_FAILED;
  // The data folder holds password hashes and sealed credentials: nobody else on this machine may read what is made.
  process.umask(OTHERS_NOTHING);
  if (AS_OWNER.has(command)) becomeOwnerOf(config.dataDir);
  switch (command) {
    case "start":
      return start(config);
    case "backup":
      return print(await backupCommand(config, { folder, options: flags.options }));
    case "verify":
      return print(await verifyCommand(folder));
    case "restore":
      makeDataDir(resolve(config.dataDir));
      try {
        return print(await restoreCommand(config, folder));
      } finally {
        giveToOwnerOf(config.dataDir);
      }
    case "migrate": {
      if (flags.options["status"] === true) return print(await migrationStatus(config));
      makeDataDir(resolve(config.dataDir));
      assertNotRestoring(config.dataDir);
      return print(await migrateCommand(config, createLogger("control-plane", config.logLevel)));
    }
    case "admin":
      return print(await adminCommand(config, flags.words.slice(1), createLogger("control-plane", config.logLevel)));
    case "config":
      return configCommand(flags, env, processOutput);
    case "doctor":
      process.exitCode = (await doctorCommand(config, process.env, flags.options["json"] === true, processOutput))
        ? 0
        : EXIT_FAILED;
      return;
    case "setup":
      return print(await setupCommand(config));
    case "recover": {
      const request = { email: flags.words[1], publicUrl: publicUrlOf(config), now: Date.now() };
      return print(await recoverCommand(config, request));
    }
    default:
      throw new UsageError(
        `unknown command "${command}"; expected start, setup, recover, backup, verify, restore, migrate, admin, config or doctor, see --help`,
      );
  }
}

function environmentOf(command: string, flags: Readonly<Record<string, string>>): Variables {
  if (!ABOUT_SERVER.has(command)) return process.env;
  const note = (text: string) => processOutput.note(`shipfox-control-plane: ${text}`);
  return environmentOfService(INSTALLED, { env: process.env, flags, note });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function start(config: Config): Promise<void> {
  const log = createLogger("control-plane", config.logLevel);
  for (const unknown of unknownSettings(process.env)) log.warn(unknown);
  makeDataDir(resolve(config.dataDir));
  assertNotRestoring(config.dataDir);
  const rootKeys = KeyRing.load({ dataDir: config.dataDir, configured: config.rootKey });
  const publicUrl = publicUrlOf(config);
  let app: App | null = null;
  let isStopping = false;
  const systemd = new ServiceNotifier(process.env, {
    logger: log,
    status: () =>
      isStopping
        ? "stopping"
        : `${app ? "listens on" : "starts for"} ${schemeOf(config)}://${config.host}:${config.port}`,
    // It is fed by a timer of the event loop: one that hangs feeds nothing.
    whyStarved: () => null,
    stopLimitMs: KILL_AFTER_MS,
  });
  const stop = async (reason: string, code: number) => {
    if (isStopping) return;
    isStopping = true;
    process.removeAllListeners("SIGTERM").removeAllListeners("SIGINT");
    log.info({ reason }, "stopping");
    systemd.stopping();
    const stopped = (app?.stop() ?? Promise.resolve())
      .then(() => systemd.close())
      .catch((error: unknown) => log.error({ err: error }, "the stop failed"));
    if (!(await within(STOP_LIMIT_MS, stopped)))
      log.warn("the stop took too long: the process ends; as in a crash nothing acknowledged is lost");
    process.exit(code);
  };
  process.once("SIGTERM", () => void stop("SIGTERM", 0));
  process.once("SIGINT", () => void stop("SIGINT", 0));
  // From the start, because it would end the process.
  process.on("SIGHUP", () => app?.reloadCertificate());
  app = await startApp({
    config,
    rootKeys,
    publicUrl,
    log,
    ...(config.accessLog ? { writeAccess: openAccessLog() } : {}),
    onLost: (reason) => void stop(reason, 1),
  });
  await listen(app, config);
  await listenForMachines(app, config);
  await listenForMetrics(app, config);
  announce(app, config);
  systemd.ready();
}

function publicUrlOf(config: Config): string {
  return (config.publicUrl ?? `${schemeOf(config)}://localhost:${config.port}`).replace(/\/$/, "");
}

function schemeOf(config: Config): "http" | "https" {
  return tlsFiles(config) === null ? "http" : "https";
}

/** Throws ConfigError when the folder is not there and cannot be made. */
function makeDataDir(path: string): void {
  const missing: string[] = [];
  // Not `recursive`: under a folder such as /proc that never comes to an end.
  for (let folder = path; !existsSync(folder); folder = dirname(folder)) missing.unshift(folder);
  try {
    for (const folder of missing) mkdirSync(folder, { mode: DATA_DIR_MODE });
  } catch (error) {
    const why = (error as Error).message;
    throw new ConfigError(`the data folder ${path} cannot be made (${why}); choose another with --data-dir`);
  }
  if (!statSync(path).isDirectory()) {
    throw new ConfigError(`the data folder ${path} is not a folder; choose another with --data-dir`);
  }
}

function listen(app: App, config: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    app.server.once("error", (error: NodeJS.ErrnoException) => {
      const advice = LISTEN_ADVICE[error.code ?? ""];
      reject(advice === undefined ? error : new ListenError(`port ${config.port} on ${config.host} ${advice}`));
    });
    app.server.listen(config.port, config.host, resolve);
  });
}

async function listenForMachines(app: App, { alsoListen }: Config): Promise<void> {
  for (const address of alsoListen) {
    try {
      await app.listenForMachines(address);
    } catch (error) {
      const { code = "", message } = error as NodeJS.ErrnoException;
      const why = code === "EADDRINUSE" ? "is taken" : `cannot be opened (${message})`;
      const where = `port ${address.port} on ${address.host}`;
      throw new ListenError(`${where} ${why}; choose another with --also-listen`);
    }
  }
}

/** Ends with the process: a scrape that is cut off is repeated. */
async function listenForMetrics(app: App, { metricsListen: address }: Config): Promise<void> {
  if (address === null) return;
  const server = createSmallServer({
    "GET /metrics": async () => ({ status: 200, contentType: METRICS_CONTENT_TYPE, body: await app.metrics() }),
  });
  await new Promise<void>((done, fail) => {
    server.once("error", ({ message }) =>
      fail(new ListenError(`the metrics cannot be served (${message}); choose another address with --metrics-listen`)),
    );
    server.listen(address.port, address.host, done);
  });
}

/** The first lines an operator sees: what runs, where, and what to do next. */
function announce(app: App, config: Config): void {
  const { port } = app.server.address() as AddressInfo;
  const database = config.databaseUrl === undefined ? "SQLite" : "PostgreSQL";
  const scheme = schemeOf(config);
  const url = config.publicUrl ?? `${scheme}://localhost:${port}`;
  process.stdout.write(
    `shipfox-control-plane ${VERSION} listens on ${scheme}://${config.host}:${port}, data in ${resolve(config.dataDir)}, ${database}\n`,
  );
  if (app.setupToken === null) {
    process.stdout.write(`Next: shipfox login --url ${url}\n`);
    return;
  }
  process.stdout.write(`There is no account yet. Next, on this machine: shipfox login --url ${url} --signup\n`);
  process.stdout.write(`From another machine the first account needs the setup token ${app.setupToken}\n`);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const isTold = [ConfigError, ListenError, StoreRefusal, RootKeyError].some((kind) => error instanceof kind);
  const { message, stack } = error as Error;
  process.stderr.write(`shipfox-control-plane: ${isTold ? message : stack}\n`);
  process.exit(exitStatusOf(error));
});

function exitStatusOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT_USAGE;
  return error instanceof ConfigError ? configStatus : EXIT_FAILED;
}
