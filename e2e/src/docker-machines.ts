import { randomBytes } from "node:crypto";
import { execa } from "execa";
import { docker } from "./docker.ts";
import type { HandProvisioner, PlannedInstance } from "./hand-provisioner.ts";
import { REPOSITORY_ROOT } from "./programs.ts";
import type { Stage } from "./stage.ts";

const DRIVE = `${REPOSITORY_ROOT}/provisioner/src/drivers/docker/drive.fixture.ts`;
const POOL = "e2e";
const MAX_LIFETIME_MS = 300_000;
const NAME_CHARS = 12;

interface Tags {
  readonly controller: string;
  readonly pool: string;
  readonly instance: string;
}

export interface Machine {
  readonly providerId: string;
  readonly tags: Tags;
  readonly state: "starting" | "running" | "stopping" | "stopped";
}

/** Containers that the docker driver makes for a provisioner, on a network of their own. */
export class DockerMachines {
  /** The host's address on that network. */
  readonly gateway: string;
  readonly #image: string;
  readonly #settings: { readonly network: string; readonly subnet: string };

  private constructor(image: string) {
    const third = randomBytes(1)[0];
    this.gateway = `10.216.${third}.1`;
    this.#image = image;
    this.#settings = { network: `shipfox-e2e-${randomBytes(4).toString("hex")}`, subnet: `10.216.${third}.0/24` };
  }

  /** With the image that `scripts/runner-image` makes of this checkout. */
  static async create(stage: Stage): Promise<DockerMachines> {
    const { stdout } = await execa(`${REPOSITORY_ROOT}/scripts/runner-image`);
    const machines = new DockerMachines(stdout.trim());
    stage.onEnd(() => machines.#removeNetwork());
    return machines;
  }

  create(provisioner: HandProvisioner, planned: PlannedInstance, runnerEnv: Record<string, string>): Promise<unknown> {
    const instance = planned.runner_instance_id;
    return this.#call("create", {
      name: `shipfox-${instance.slice(-NAME_CHARS)}`,
      tags: { controller: provisioner.id, pool: POOL, instance },
      templateKey: "small",
      machine: { image: this.#image, cpus: 1, memory_mib: 512, pids: 256 },
      boot: { registrationToken: planned.registration_token, runnerEnv },
      maxLifetimeMs: MAX_LIFETIME_MS,
    });
  }

  async list({ id: controller }: HandProvisioner): Promise<Machine[]> {
    return (await this.#call("list", { controller, pool: POOL })) as Machine[];
  }

  async console({ providerId }: Machine): Promise<string> {
    return ((await this.#call("readConsole", providerId)) as string | null) ?? "";
  }

  delete({ providerId, tags }: Machine): Promise<unknown> {
    return this.#call("delete", { providerId, tags });
  }

  async removeAll(provisioner: HandProvisioner): Promise<void> {
    for (const machine of await this.list(provisioner)) await this.delete(machine);
  }

  async #call(call: string, argument: unknown): Promise<unknown> {
    const input = JSON.stringify({ settings: this.#settings, call, argument });
    const { stdout } = await execa(process.execPath, [DRIVE], { input });
    return JSON.parse(stdout);
  }

  async #removeNetwork(): Promise<void> {
    const networks = await docker.listNetworks({ filters: { name: [this.#settings.network] } });
    for (const { Id } of networks) await docker.getNetwork(Id).remove();
  }
}
