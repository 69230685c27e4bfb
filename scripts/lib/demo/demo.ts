import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type NpmSettings, readNpmSettings } from "./npm-settings.ts";
import { type DemoOptions, UsageError } from "./options.ts";
import { findFreePort, isFree } from "./ports.ts";
import type { DemoRepository } from "./repository.ts";
import { removeSandboxes } from "./sandbox-leftovers.ts";
import { Service } from "./service.ts";
import { ShipfoxCommand } from "./shipfox-command.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const DEFAULT_PORT = 16_101;
/** Of the demo; the workflows of a repository may name others with SHIPFOX_RUNNER_LABELS. */
const DEFAULT_LABEL = "linux";
const JOBS_AT_ONCE = "2";
const PLANE_START_LIMIT_MS = 60_000;
const RUNNER_START_LIMIT_MS = 60_000;
/** The runner pulls the image of its jobs before it takes any. */
const RUNNER_PULL_LIMIT_MS = 11 * 60_000;
const POLL_MS = 200;
const REQUEST_TIMEOUT_MS = 5_000;
/** The first signal lets the running job be handed back, the second kills it. */
const RUNNER_STOP_MS = [2_000, 20_000];
const PLANE_STOP_MS = [15_000];

type Environment = Record<string, string | undefined>;

export interface Account {
  readonly email: string;
  readonly password: string;
  readonly passwordFile: string;
}

/** The parts of one demo and the folder in which all of it lies. `close` removes everything, after whatever happened. */
export class Demo {
  readonly folder: string;
  readonly #say: (line: string) => void;
  readonly #stop: AbortSignal;
  readonly #services: Service[] = [];
  #shipfox: ShipfoxCommand | null = null;

  private constructor(folder: string, say: (line: string) => void, stop: AbortSignal) {
    this.folder = folder;
    this.#say = say;
    this.#stop = stop;
  }

  /** `stop` ends all waiting. */
  static async open(say: (line: string) => void, stop: AbortSignal): Promise<Demo> {
    return new Demo(await mkdtemp(join(tmpdir(), "shipfox-demo-")), say, stop);
  }

  get runnerStateDir(): string {
    return join(this.folder, "runner");
  }

  /** Starts the control plane and resolves with its address. */
  async startControlPlane(options: DemoOptions, repository: DemoRepository): Promise<string> {
    let port = await this.#choosePort(options.port);
    for (;;) {
      const plane = this.#start("control-plane", "shipfox-control-plane", {
        DEFINITION_DEFAULT_RUNNER_LABEL: DEFAULT_LABEL,
        ...process.env,
        HOST: "127.0.0.1",
        PORT: String(port),
        SHIPFOX_PUBLIC_URL: undefined,
        SHIPFOX_DATA_DIR: join(this.folder, "data"),
        // The database may be one that knows accounts already.
        SHIPFOX_ALLOW_SIGNUP: "true",
        ...repositoryAccess(repository),
      });
      const url = `http://localhost:${port}`;
      const isReady = () =>
        fetch(`${url}/readyz`, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) }).then(
          (reply) => reply.ok,
          () => false,
        );
      if (await this.#awaitUntil(isReady, plane, PLANE_START_LIMIT_MS)) return url;
      // Another process was quicker between our look and the plane's.
      const lostRace = !plane.isRunning && options.port === null && !(await isFree(port));
      if (!lostRace) throw this.#failure(plane, `is not ready within ${PLANE_START_LIMIT_MS / 1000} s`);
      this.#services.pop();
      port = await findFreePort();
      this.#say(`the port was taken meanwhile; using ${port}`);
    }
  }

  /** Signs up and returns the account with the command that is signed in with it. */
  async createAccount(url: string): Promise<{ account: Account; shipfox: ShipfoxCommand }> {
    // A database that is kept may have the account of an earlier demo.
    const suffix = process.env["SHIPFOX_DATABASE_URL"] ? `-${randomBytes(4).toString("hex")}` : "";
    const account = {
      email: `demo${suffix}@example.com`,
      password: randomBytes(12).toString("base64url"),
      passwordFile: join(this.folder, "password"),
    };
    await writeFile(account.passwordFile, `${account.password}\n`, { mode: 0o600 });
    const shipfox = new ShipfoxCommand({
      command: this.#command("shipfox"),
      env: { ...process.env, SHIPFOX_CONFIG_DIR: this.cliConfigDir, SHIPFOX_URL: undefined },
      cwd: this.folder,
    });
    this.#shipfox = shipfox;
    this.#stop.addEventListener("abort", () => void shipfox.close(), { once: true });
    const login = ["login", "--url", url, "--signup", "--name", "Demo", "--email", account.email, "--password-stdin"];
    await shipfox.json(login, account.password);
    return { account, shipfox };
  }

  get cliConfigDir(): string {
    return join(this.folder, "cli");
  }

  /** Starts the runner and resolves when the control plane sees it. */
  async startRunner(url: string, shipfox: ShipfoxCommand, options: DemoOptions, repository: DemoRepository) {
    const { raw_token: token } = await shipfox.json<{ raw_token: string }>([
      "runners",
      "add",
      "--name",
      "demo",
      "--max-uses",
      "1",
    ]);
    const tokenFile = join(this.folder, "registration-token");
    await writeFile(tokenFile, token, { mode: 0o600 });
    const packages = await this.#packageAccess();
    const image = options.image === null ? {} : { SHIPFOX_RUNNER_IMAGE: options.image };
    const runner = this.#start("runner", "shipfox-runner", {
      SHIPFOX_RUNNER_CONCURRENCY: JOBS_AT_ONCE,
      SHIPFOX_RUNNER_NAME: "demo-runner",
      ...process.env,
      ...packages,
      ...image,
      SHIPFOX_API_URL: url,
      SHIPFOX_RUNNER_STATE_DIR: this.runnerStateDir,
      SHIPFOX_RUNNER_WORK_DIR: undefined,
      SHIPFOX_RUNNER_REGISTRATION_TOKEN: undefined,
      SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE: tokenFile,
      SHIPFOX_RUNNER_DRAIN_TIMEOUT_MS: "0",
      ...repositoryAccess(repository),
    });
    const limitMs = options.image === null ? RUNNER_START_LIMIT_MS : RUNNER_PULL_LIMIT_MS;
    let complaint: string | null = null;
    const isOnline = async () => {
      const latest = runner.lastError();
      if (latest !== null && latest !== complaint) this.#say(`the runner: ${latest}`);
      complaint = latest;
      const { runners } = await shipfox.json<{ runners: { state: string }[] }>(["runners", "list"]);
      return runners.some(({ state }) => state === "online");
    };
    if (!(await this.#awaitUntil(isOnline, runner, limitMs))) {
      throw this.#failure(runner, `is not online within ${limitMs / 1000} s`);
    }
  }

  /** Resolves with what `work` resolves with; rejects when one of the daemons ends before. */
  async whileServing<Result>(work: Promise<Result>): Promise<Result> {
    const ends = this.#services.map(async (service) => {
      const how = await service.ended;
      // When everything is being stopped, that is the reason.
      this.#stop.throwIfAborted();
      throw this.#failure(service, `ended while it was needed (${how})`);
    });
    return await Promise.race([work, ...ends]);
  }

  /** What the daemons said last, for a failure after which their folder goes away. */
  tails(): string {
    return this.#services.map((service) => `--- ${service.name} ---\n${service.tail()}`).join("\n");
  }

  /** Stops and removes everything; `hurry` ends all patience. Rejects when something is left. */
  async close(hurry: AbortSignal): Promise<void> {
    const faults: unknown[] = [];
    const attempt = (work: Promise<void>) => work.catch((error: unknown) => void faults.push(error));
    await this.#shipfox?.close();
    // The runner first, so that it can still tell the control plane.
    for (const service of this.#services.toReversed()) {
      await attempt(service.stop(service.name === "runner" ? RUNNER_STOP_MS : PLANE_STOP_MS, hurry));
    }
    await attempt(removeSandboxes(this.runnerStateDir));
    await attempt(rm(this.folder, { recursive: true, force: true, maxRetries: 3 }));
    if (faults.length > 0) throw new AggregateError(faults, faults.map((fault) => (fault as Error).message).join("; "));
  }

  async #choosePort(wanted: number | null): Promise<number> {
    const port = wanted ?? DEFAULT_PORT;
    if (await isFree(port)) return port;
    if (wanted !== null) throw new UsageError(`Port ${port} is taken. Choose another with --port, or leave it out.`);
    const free = await findFreePort();
    this.#say(`port ${port} is taken; using ${free}`);
    return free;
  }

  /** How jobs reach package registries: what the operator set, else what npm on this machine is told. */
  async #packageAccess(): Promise<Environment> {
    const npm: NpmSettings = await readNpmSettings(process.env["SHIPFOX_DEMO_NPM"] ?? "");
    const access: Environment = {};
    if (!process.env["SHIPFOX_RUNNER_NPMRC"] && npm.npmrc !== "") {
      const file = join(this.folder, "npmrc");
      await writeFile(file, npm.npmrc, { mode: 0o600 });
      access["SHIPFOX_RUNNER_NPMRC"] = file;
      this.#say("jobs get the registry and proxy settings of npm on this machine, without credentials");
    }
    const caFile = [process.env["NODE_EXTRA_CA_CERTS"], npm.caFile].find((file) => file && existsSync(file));
    if (!process.env["SHIPFOX_RUNNER_CA_FILE"] && caFile) {
      access["SHIPFOX_RUNNER_CA_FILE"] = caFile;
      this.#say(`jobs trust the certificate authorities in ${caFile}`);
    }
    return access;
  }

  #start(name: string, command: string, env: Environment): Service {
    const logFile = join(this.folder, `${name}.log`);
    const service = new Service({ name, command: this.#command(command), env, cwd: this.folder, logFile });
    this.#services.push(service);
    return service;
  }

  #command(name: string): string {
    return join(ROOT, "node_modules", ".bin", name);
  }

  /** False when the time is over or the service ended. */
  async #awaitUntil(isDone: () => Promise<boolean>, service: Service, limitMs: number): Promise<boolean> {
    const giveUpAt = performance.now() + limitMs;
    while (service.isRunning && performance.now() < giveUpAt) {
      this.#stop.throwIfAborted();
      if (await isDone()) return true;
      await sleep(POLL_MS, undefined, { signal: this.#stop });
    }
    return false;
  }

  #failure(service: Service, what: string): Error {
    return new Error(`the ${service.name} ${service.isRunning ? what : "ended"}`);
  }
}

function repositoryAccess(repository: DemoRepository): Environment {
  if (repository.isLocal) return { SHIPFOX_GIT_ALLOW_FILE: "true" };
  // The user named this address on the command line; nobody else gives this control plane any.
  const isHttp = repository.location.startsWith("http://");
  return { SHIPFOX_GIT_ALLOW_PRIVATE: "true", ...(isHttp ? { SHIPFOX_GIT_ALLOW_HTTP: "true" } : {}) };
}
