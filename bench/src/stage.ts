import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ControlPlane, createDefinition, type PlaneOptions, startControlPlane } from "./control-plane.ts";
import { FireAndFollow, workflow } from "./fire-and-follow.ts";
import { JsonClient } from "./json-client.ts";
import { type Runner, type RunnerPlan, startRunner } from "./runner.ts";

/** A control plane with one user, and runners beside it; all of it goes with `resources`. */
export class Stage {
  readonly folder: string;
  readonly plane: ControlPlane;
  readonly client: JsonClient;
  readonly reader: FireAndFollow;
  readonly #resources: AsyncDisposableStack;

  private constructor(folder: string, plane: ControlPlane, resources: AsyncDisposableStack) {
    this.folder = folder;
    this.plane = plane;
    this.#resources = resources;
    this.client = resources.adopt(new JsonClient(plane.url, 1), (open) => open.close());
    this.reader = resources.adopt(new FireAndFollow(this.client, plane), (open) => open.close());
  }

  static async open(resources: AsyncDisposableStack, options: PlaneOptions = {}): Promise<Stage> {
    const folder = await openFolder(resources);
    return new Stage(folder, await startControlPlane(folder, resources, options), resources);
  }

  /** A runner that takes the jobs of its label alone. */
  async runner(plan: RunnerPlan): Promise<Runner> {
    return await startRunner(this.client, this.plane, join(this.folder, plan.label), plan, this.#resources);
  }

  /** A definition of one job for the runner with this label; answers its id. */
  async define(label: string, commands: readonly string[], options: { checkout?: boolean } = {}): Promise<string> {
    return await createDefinition(this.client, this.plane, workflow(label, commands, options));
  }
}

/** An empty folder that goes with `resources`; the steps' user may pass through it to its workspace. */
export async function openFolder(resources: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "shipfox-bench-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o711);
  return folder;
}
