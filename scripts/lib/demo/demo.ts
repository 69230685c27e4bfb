import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { LocalPlane } from "@shipfox/shared/local/local-plane";
import { isFree } from "@shipfox/shared/local/ports";
import { type NpmSettings, readNpmSettings } from "./npm-settings.ts";
import { type DemoOptions, UsageError } from "./options.ts";
import type { DemoRepository } from "./repository.ts";
import { ShipfoxCommand } from "./shipfox-command.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const DEFAULT_PORT = 16_101;
/** Of the demo; the workflows of a repository may name others with SHIPFOX_RUNNER_LABELS. */
const DEFAULT_LABEL = "linux";
const JOBS_AT_ONCE = "2";
const RUNNER_START_LIMIT_MS = 60_000;
/** The runner pulls the image of its jobs before it takes any. */
const RUNNER_PULL_LIMIT_MS = 11 * 60_000;

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
  readonly #plane: LocalPlane;
  #shipfox: ShipfoxCommand | null = null;

  private constructor(folder: string, say: (line: string) => void, stop: AbortSignal) {
    this.folder = folder;
    this.#say = say;
    this.#stop = stop;
    this.#plane = new LocalPlane({ folder, programOf: commandOf, say, stop });
  }

  /** `stop` ends all waiting. */
  static async open(say: (line: string) => void, stop: AbortSignal): Promise<Demo> {
    return new Demo(await mkdtemp(join(tmpdir(), "shipfox-demo-")), say, stop);
  }

  /** Starts the control plane and resolves with its address. */
  async startControlPlane(options: DemoOptions, repository: DemoRepository): Promise<string> {
    return await this.#plane.startControlPlane(await this.#choosePort(options.port), {
      DEFINITION_DEFAULT_RUNNER_LABEL: DEFAULT_LABEL,
      ...process.env,
      // The database may be one that knows accounts already.
      SHIPFOX_ALLOW_SIGNUP: "true",
      ...repositoryAccess(repository),
    });
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
      command: commandOf("shipfox"),
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
    const isOnline = async () => {
      const { runners } = await shipfox.json<{ runners: { state: string }[] }>(["runners", "list"]);
      return runners.some(({ state }) => state === "online");
    };
    await this.#plane.startRunner(
      {
        SHIPFOX_RUNNER_CONCURRENCY: JOBS_AT_ONCE,
        SHIPFOX_RUNNER_NAME: "demo-runner",
        ...process.env,
        ...packages,
        ...image,
        SHIPFOX_API_URL: url,
        SHIPFOX_RUNNER_REGISTRATION_TOKEN: undefined,
        SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE: tokenFile,
        ...repositoryAccess(repository),
      },
      isOnline,
      options.image === null ? RUNNER_START_LIMIT_MS : RUNNER_PULL_LIMIT_MS,
    );
  }

  /** Resolves with what `work` resolves with; rejects when one of the daemons ends before. */
  whileServing<Result>(work: Promise<Result>): Promise<Result> {
    return this.#plane.whileServing(work);
  }

  /** What the daemons said last, for a failure after which their folder goes away. */
  tails(): string {
    return this.#plane.tails();
  }

  /** Stops and removes everything; `hurry` ends all patience. Rejects when something is left. */
  async close(hurry: AbortSignal): Promise<void> {
    await this.#shipfox?.close();
    try {
      await this.#plane.close(hurry);
    } finally {
      await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  /** Null for any. */
  async #choosePort(wanted: number | null): Promise<number | null> {
    const port = wanted ?? DEFAULT_PORT;
    if (await isFree(port)) return port;
    if (wanted !== null) throw new UsageError(`Port ${port} is taken. Choose another with --port, or leave it out.`);
    this.#say(`port ${port} is taken; using another`);
    return null;
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
}

function commandOf(name: string): string {
  return join(ROOT, "node_modules", ".bin", name);
}

function repositoryAccess(repository: DemoRepository): Environment {
  if (repository.isLocal) return { SHIPFOX_GIT_ALLOW_FILE: "true" };
  // The user named this address on the command line; nobody else gives this control plane any.
  const isHttp = repository.location.startsWith("http://");
  return { SHIPFOX_GIT_ALLOW_PRIVATE: "true", ...(isHttp ? { SHIPFOX_GIT_ALLOW_HTTP: "true" } : {}) };
}
