import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { Client } from "@shipfox/client";
import type { Definition } from "@shipfox/shared/api/definitions";
import type { RunDetail } from "@shipfox/shared/api/runs";
import { LocalPlane } from "@shipfox/shared/local/local-plane";
import type { Service } from "@shipfox/shared/local/service";
import type { parseInputs } from "../inputs.ts";
import { openClient } from "../session.ts";
import { programOf } from "./programs.ts";

const MAX_JOBS_AT_ONCE = 4;
const LOOK_EVERY_MS = 500;
/** It may have to pull the image of the jobs first. */
const RUNNER_LIMIT_MS = 11 * 60_000;
const SYNC_LIMIT_MS = 60_000;
const LABEL_OF_JOBS_WITHOUT = "local";

export interface LocalRunOptions {
  readonly sandbox: "docker" | "host";
  readonly image: string | undefined;
  readonly secrets: Readonly<Record<string, string>>;
  readonly variables: Readonly<Record<string, string>>;
  readonly say: (line: string) => void;
  readonly stop: AbortSignal;
}

/** A private control plane with one account, one project and one runner, for one run. `close` removes all of it. */
export class LocalRun {
  readonly folder: string;
  readonly #options: LocalRunOptions;
  readonly #plane: LocalPlane;
  #url = "";
  #workspaceId = "";
  #api: Client = openClient("http://localhost");
  readonly #over = new AbortController();
  #labels: readonly string[] = [];

  private constructor(folder: string, options: LocalRunOptions) {
    this.folder = folder;
    this.#options = options;
    this.#plane = new LocalPlane({ folder, programOf, say: options.say, stop: options.stop });
  }

  static async open(options: LocalRunOptions): Promise<LocalRun> {
    const folder = await mkdtemp(join(tmpdir(), "shipfox-exec-"));
    // The user of the steps passes through it to the workspace.
    await chmod(folder, 0o711);
    return new LocalRun(folder, options);
  }

  get api(): Client {
    return this.#api;
  }

  /** Starts the control plane and makes a project of the repository; answers its definition of `path` once it is read. */
  async begin(repository: string, path: string): Promise<Definition> {
    this.#url = await this.#plane.startControlPlane(null, {
      ...process.env,
      DEFINITION_DEFAULT_RUNNER_LABEL: LABEL_OF_JOBS_WITHOUT,
      SHIPFOX_DATABASE_URL: undefined,
      SHIPFOX_ALLOW_SIGNUP: "true",
      SHIPFOX_GIT_ALLOW_FILE: "true",
      SHIPFOX_GIT_POLL_INTERVAL_SECONDS: "0",
    });
    const password = randomBytes(24).toString("base64url");
    const account = { email: "exec@localhost.localdomain", password, name: "exec" };
    const { token } = await openClient(this.#url).auth.signUp(account);
    this.#api = openClient(this.#url, token);
    const { id: workspaceId } = await this.#api.workspaces.create({ name: "exec" });
    this.#workspaceId = workspaceId;
    const { secrets, variables } = this.#options;
    if (Object.keys(secrets).length > 0) await this.#api.secrets.setAll({ workspaceId, entries: entriesOf(secrets) });
    if (Object.keys(variables).length > 0)
      await this.#api.variables.setAll({ workspaceId, entries: entriesOf(variables) });
    const connection = await this.#api.integrations.connectGit({ workspace_id: workspaceId, name: "exec" });
    const project = await this.#api.projects.create({
      workspace_id: workspaceId,
      name: "exec",
      source: { connection_id: connection.id, external_repository_id: `git:${pathToFileURL(repository).href}` },
    });
    return await this.#definitionOf(project.id, path);
  }

  /** Fires the definition and starts a runner that can take each of its jobs. Answers the run's id. */
  async fire(definition: Definition, inputs: ReturnType<typeof parseInputs>): Promise<string> {
    const { workflow_run_id: runId } = await this.#api.definitions.fire({ definitionId: definition.id, inputs });
    const runner = await this.#startRunner(labelsOf(await this.#api.runs.get({ id: runId })));
    void this.#followLabels(runId, runner);
    return runId;
  }

  whileServing<Result>(work: Promise<Result>): Promise<Result> {
    return this.#plane.whileServing(work);
  }

  tails(): string {
    return this.#plane.tails();
  }

  async close(hurry: AbortSignal): Promise<void> {
    this.#over.abort();
    try {
      await this.#plane.close(hurry);
    } finally {
      await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  async #definitionOf(projectId: string, path: string): Promise<Definition> {
    const giveUpAt = performance.now() + SYNC_LIMIT_MS;
    for (;;) {
      const { definitions, sync } = await this.#api.definitions.list({ project_id: projectId, limit: 100 });
      const found = definitions.find(({ config_path: at }) => at === path);
      if (found && sync?.status === "succeeded") return found;
      if (sync?.status === "failed") throw new Error(`the working tree could not be read: ${JSON.stringify(sync)}`);
      if (performance.now() > giveUpAt) throw new Error(`${path} was not read within ${SYNC_LIMIT_MS / 1000} s`);
      await sleep(LOOK_EVERY_MS / 5, undefined, { signal: this.#options.stop });
    }
  }

  async #startRunner(labels: readonly string[]): Promise<Service> {
    const workspaceId = this.#workspaceId;
    const { raw_token: token } = await this.#api.runners.createToken({ workspaceId, max_uses: 1 });
    const tokenFile = join(this.folder, "registration-token");
    await writeFile(tokenFile, token, { mode: 0o600 });
    await this.#writeLabels(labels);
    const { sandbox, image } = this.#options;
    return await this.#plane.startRunner(
      {
        ...process.env,
        ...(image === undefined ? {} : { SHIPFOX_RUNNER_IMAGE: image }),
        SHIPFOX_API_URL: this.#url,
        SHIPFOX_RUNNER_CONFIG_FILE: this.#configFile,
        SHIPFOX_RUNNER_LABELS: undefined,
        SHIPFOX_RUNNER_NAME: "this machine",
        SHIPFOX_RUNNER_SANDBOX: sandbox,
        SHIPFOX_RUNNER_CONCURRENCY: String(Math.min(MAX_JOBS_AT_ONCE, availableParallelism())),
        SHIPFOX_RUNNER_WARM: "0",
        SHIPFOX_RUNNER_REGISTRATION_TOKEN: undefined,
        SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE: tokenFile,
        SHIPFOX_GIT_ALLOW_FILE: "true",
      },
      async () => (await this.#api.runners.list({ workspaceId })).runners.some(({ state }) => state === "online"),
      RUNNER_LIMIT_MS,
    );
  }

  get #configFile(): string {
    return join(this.folder, "runner.env");
  }

  async #writeLabels(labels: readonly string[]): Promise<void> {
    this.#labels = labels;
    await writeFile(this.#configFile, `SHIPFOX_RUNNER_LABELS=${labels.join(",")}\n`, { mode: 0o600 });
  }

  /** Jobs of a matrix and of listeners come later, with labels that nobody could know before. */
  async #followLabels(runId: string, runner: Service): Promise<void> {
    while (runner.isRunning && !this.#over.signal.aborted) {
      const run = await this.#api.runs.get({ id: runId }).catch(() => null);
      const further = run === null ? [] : labelsOf(run).filter((label) => !this.#labels.includes(label));
      if (further.length > 0) {
        await this.#writeLabels([...this.#labels, ...further]);
        runner.signal("SIGHUP");
      }
      await sleep(LOOK_EVERY_MS, undefined, { signal: this.#over.signal }).catch(() => undefined);
    }
  }
}

function entriesOf(values: Readonly<Record<string, string>>): { key: string; value: string }[] {
  return Object.entries(values).map(([key, value]) => ({ key, value }));
}

/** What a runner must have to take every job that is known by now. */
function labelsOf({ jobs }: RunDetail): string[] {
  const named = jobs.flatMap((job) => [job.runner ?? [], ...job.job_executions.map(({ runner }) => runner ?? [])]);
  return [...new Set([LABEL_OF_JOBS_WITHOUT, ...named.flat()])];
}
