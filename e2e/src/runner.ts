import { Child } from "./child.ts";
import { runsContainers, removeRunnerThings, runnerInstanceId, thingsOfRunner } from "./docker.ts";
import { RUNNER } from "./programs.ts";
import type { Stage } from "./stage.ts";

export interface RunnerOptions {
  readonly apiUrl: string;
  readonly token: string;
  readonly sandbox?: "docker" | "host";
  readonly labels?: string;
  readonly name?: string;
  readonly stateDir?: string;
  readonly env?: Record<string, string>;
  /** The launcher of another release. */
  readonly program?: string;
}

/** Short, so that a step which ignores SIGTERM does not hold a test up. */
const GRACE_MS = "500";

/** A runner with a state folder of its own. Not ready yet when made: see `ready`. */
export class Runner {
  readonly name: string;
  readonly stateDir: string;
  readonly #stage: Stage;
  readonly #env: Record<string, string>;
  readonly #program: string;
  #child: Child;

  private constructor(stage: Stage, stateDir: string, options: RunnerOptions) {
    this.name = options.name ?? "runner-1";
    this.stateDir = stateDir;
    this.#stage = stage;
    this.#program = options.program ?? RUNNER;
    this.#env = {
      SHIPFOX_API_URL: options.apiUrl,
      SHIPFOX_RUNNER_REGISTRATION_TOKEN: options.token,
      SHIPFOX_RUNNER_SANDBOX: options.sandbox ?? "host",
      SHIPFOX_RUNNER_LABELS: options.labels ?? "linux",
      SHIPFOX_RUNNER_NAME: this.name,
      SHIPFOX_RUNNER_STATE_DIR: stateDir,
      SHIPFOX_RUNNER_CANCEL_GRACE_MS: GRACE_MS,
      SHIPFOX_GIT_ALLOW_FILE: "true",
      ...options.env,
    };
    this.#child = this.#spawn();
    stage.onEnd(async () => {
      await this.#child.stop();
      await removeRunnerThings(stateDir);
    });
  }

  /** Starts a runner; resolves as soon as the process is there. */
  static async launch(stage: Stage, options: RunnerOptions): Promise<Runner> {
    return new Runner(stage, options.stateDir ?? (await stage.folder("runner")), options);
  }

  /** Starts a runner and waits until it asks for jobs. */
  static async start(stage: Stage, options: RunnerOptions): Promise<Runner> {
    const runner = await Runner.launch(stage, options);
    await runner.ready();
    return runner;
  }

  get child(): Child {
    return this.#child;
  }

  async ready(): Promise<void> {
    await this.#child.printed(/runner ready/);
  }

  kill9(): Promise<void> {
    return this.#child.kill9();
  }

  async restart(): Promise<void> {
    this.#child = this.#spawn();
    await this.ready();
  }

  /** Names of the containers and networks that carry this runner's label. */
  async dockerThings(role?: string): Promise<string[]> {
    const id = await runnerInstanceId(this.stateDir);
    return id === null ? [] : thingsOfRunner(id, role);
  }

  /** Whether a container of this runner runs. One that was made and not yet started does not. */
  async runsContainers(): Promise<boolean> {
    const id = await runnerInstanceId(this.stateDir);
    return id !== null && runsContainers(id);
  }

  #spawn(): Child {
    return this.#stage.addChild(new Child(this.name, this.#program, [], this.#env));
  }
}
