import type { Client } from "@shipfox/client";
import { readLog } from "@shipfox/client/read-log";
import type { Definition, DefinitionSync } from "@shipfox/shared/api/definitions";
import type { Runner as RunnerView } from "@shipfox/shared/api/runners";
import { type Job, type JobExecution, type RunDetail, type Step, TERMINAL_STATUSES } from "@shipfox/shared/api/runs";
import type { LogRecord } from "@shipfox/shared/log-records";
import { Api } from "./api.ts";
import type { ControlPlane } from "./control-plane.ts";
import { eventually } from "./eventually.ts";
import { outputOf } from "./log-stream.ts";
import { Repository } from "./repository.ts";
import { Runner, type RunnerOptions } from "./runner.ts";
import type { Stage } from "./stage.ts";

export const ACCOUNT = { email: "ada@example.com", password: "correct horse battery", name: "Ada" };

type Inputs = Parameters<Client["definitions"]["fire"]>[0]["inputs"];

/** An account with a workspace on a control plane of its own, and what tests do with it. */
export class Instance {
  readonly plane: ControlPlane;
  readonly workspaceId: string;
  readonly connectionId: string;
  readonly #stage: Stage;
  #api: Api;

  private constructor(stage: Stage, plane: ControlPlane, api: Api, workspaceId: string, connectionId: string) {
    this.#stage = stage;
    this.plane = plane;
    this.#api = api;
    this.workspaceId = workspaceId;
    this.connectionId = connectionId;
  }

  static async create(stage: Stage, plane: ControlPlane): Promise<Instance> {
    const { token } = await new Api(plane.url).client.auth.signUp(ACCOUNT);
    const api = new Api(plane.url, token);
    const workspace = await api.client.workspaces.create({ name: "Tests" });
    const connection = await api.client.integrations.connectGit({
      workspace_id: workspace.id,
      name: "This machine",
    });
    return new Instance(stage, plane, api, workspace.id, connection.id);
  }

  get api(): Api {
    return this.#api;
  }

  /** Before the token of the account expires, for what takes many minutes. */
  async signInAgain(): Promise<void> {
    const { email, password } = ACCOUNT;
    const { token } = await new Api(this.plane.url).client.auth.logIn({ email, password });
    this.#api = new Api(this.plane.url, token);
  }

  async registrationToken(options: { max_uses?: number } = {}): Promise<string> {
    const { workspaceId } = this;
    return (await this.api.client.runners.createToken({ workspaceId, ...options })).raw_token;
  }

  /** A runner of this workspace that is waiting for jobs; `apiUrl` leads it over another way. */
  async runner(options: Partial<RunnerOptions> = {}): Promise<Runner> {
    const token = options.token ?? (await this.registrationToken());
    return Runner.start(this.#stage, { ...options, apiUrl: options.apiUrl ?? this.plane.url, token });
  }

  async runners(): Promise<RunnerView[]> {
    return (await this.api.client.runners.list({ workspaceId: this.workspaceId })).runners;
  }

  async runnerNamed(name: string): Promise<RunnerView> {
    const found = (await this.runners()).find((runner) => runner.name === name);
    if (!found) throw new Error(`there is no runner ${name}`);
    return found;
  }

  /** A project on a new repository with these workflow files, by file name, and further files. Its first sync is over. */
  async project(workflows: Record<string, string>, files: Record<string, string> = {}): Promise<ProjectHandle> {
    const repository = await Repository.create(this.#stage, {
      "README.md": "# Test\n",
      ...files,
      ...Object.fromEntries(Object.entries(workflows).map(([name, yaml]) => [`.shipfox/workflows/${name}`, yaml])),
    });
    const project = await this.api.client.projects.create({
      workspace_id: this.workspaceId,
      name: repository.folder.split("-").at(-1) ?? "",
      source: { connection_id: this.connectionId, external_repository_id: `git:${repository.url}` },
    });
    await this.syncOver(project.id);
    return { id: project.id, slug: project.slug, repository };
  }

  /** Waits for the running sync, if any; answers how the last one ended. */
  async syncOver(projectId: string): Promise<DefinitionSync> {
    return eventually(`the sync of project ${projectId} ends`, async () => {
      const { sync } = await this.definitions(projectId);
      return sync !== null && (sync.status === "succeeded" || sync.status === "failed") ? sync : null;
    });
  }

  definitions(projectId: string): Promise<{ definitions: Definition[]; sync: DefinitionSync | null }> {
    return this.api.client.definitions.list({ project_id: projectId, limit: 100 });
  }

  /** Starts the workflow with this name; answers the run's id. */
  async fire(project: ProjectHandle, name: string, inputs?: Inputs): Promise<string> {
    const { definitions, sync } = await this.definitions(project.id);
    const definition = definitions.find((candidate) => candidate.name === name);
    if (!definition) throw new Error(`there is no workflow ${name}; sync: ${JSON.stringify(sync)}`);
    return (await this.api.client.definitions.fire({ definitionId: definition.id, inputs })).workflow_run_id;
  }

  run(runId: string): Promise<RunDetail> {
    return this.api.client.runs.get({ id: runId });
  }

  /** The run as soon as `predicate` holds of it; outages of the control plane are waited out. */
  waitForRun(
    runId: string,
    predicate: (run: RunDetail) => boolean = isOver,
    options: { limitMs?: number; what?: string } = {},
  ): Promise<RunDetail> {
    return eventually(
      `run ${runId} ${options.what ?? (predicate === isOver ? "is over" : "is as expected")}`,
      async () => {
        const run = await this.run(runId);
        return predicate(run) ? run : null;
      },
      options,
    );
  }

  /** All records of a step attempt's log as the page endpoint serves them now. */
  async logRecords(stepId: string, attempt = 1): Promise<LogRecord[]> {
    return (await Array.fromAsync(readLog(this.api.client, { stepId, attempt }))).flat();
  }

  async logText(stepId: string, attempt = 1): Promise<string> {
    return outputOf(await this.logRecords(stepId, attempt));
  }

  /** Waits until the log of a step that is running, or over, holds `text`. */
  async logShows(stepId: string, text: string): Promise<void> {
    await eventually(`the log of step ${stepId} shows ${JSON.stringify(text)}`, async () =>
      (await this.logText(stepId)).includes(text),
    );
  }

  /** Waits until a step of the job's newest execution runs and has printed `text`; answers the run and the step. */
  async stepPrinted(runId: string, jobKey: string, text: string): Promise<{ run: RunDetail; step: Step }> {
    return eventually(`a step of job ${jobKey} prints ${JSON.stringify(text)}`, async () => {
      const run = await this.run(runId);
      for (const step of newestExecution(jobOf(run, jobKey)).steps) {
        if (step.type === "run" && step.status === "running" && (await this.logText(step.id)).includes(text))
          return { run, step };
      }
      return null;
    });
  }
}

export interface ProjectHandle {
  readonly id: string;
  readonly slug: string;
  readonly repository: Repository;
}

export function isOver(run: RunDetail): boolean {
  return TERMINAL_STATUSES.has(run.status);
}

export function jobOf(run: RunDetail, key: string): Job {
  const job = run.jobs.find((candidate) => candidate.key === key);
  if (!job) throw new Error(`the run has no job ${key}`);
  return job;
}

export function newestExecution(job: Job): JobExecution {
  const newest = job.job_executions.toSorted((left, right) => right.sequence - left.sequence)[0];
  if (!newest) throw new Error(`job ${job.key} has no execution`);
  return newest;
}

/** The user's steps of a job's newest execution, in order. */
export function runSteps(job: Job): Step[] {
  return newestExecution(job).steps.filter((step) => step.type === "run");
}

/** The only run step of a job's newest execution. */
export function runStep(job: Job): Step {
  const [step] = runSteps(job);
  if (!step) throw new Error(`job ${job.key} has no run step`);
  return step;
}

/** A workflow with a manual trigger and these jobs, given as YAML indented by two. */
export function workflow(name: string, jobs: string): string {
  return `name: ${name}\nrunner: linux\ntriggers:\n  by_hand:\n    source: manual\n    event: fire\njobs:\n${jobs}`;
}
