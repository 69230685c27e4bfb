import { randomBytes } from "node:crypto";
import Docker from "dockerode";
import type { InstanceTags } from "../driver.ts";

const BASE_IMAGE = process.env["SHIPFOX_RUNNER_IMAGE"] ?? "shipfox/sandbox:1";
const MARK = "io.shipfox.test";
/** Networks of tests that run beside each other must not overlap. */
const SECOND_BYTE = 215;

/** What a test makes on the real engine, and what removes all of it. */
export class TestEngine {
  readonly docker = new Docker();
  readonly id = randomBytes(4).toString("hex");
  readonly network = `shipfox-test-${this.id}`;
  readonly subnet = `10.${SECOND_BYTE}.${randomBytes(1)[0]}.0/24`;
  readonly #images: string[] = [];

  /** An image that does nothing but start this. */
  async image(name: string, entrypoint: readonly string[]): Promise<string> {
    const repo = `shipfox-test-${this.id}-${name}`;
    const container = await this.docker.createContainer({ Image: BASE_IMAGE, Labels: { [MARK]: this.id } });
    await container.commit({ repo, tag: "1", changes: `ENTRYPOINT ${JSON.stringify(entrypoint)}` });
    await container.remove();
    this.#images.push(`${repo}:1`);
    return `${repo}:1`;
  }

  /** A container that somebody else made, with just these tags. */
  async plant(name: string, tags: Partial<InstanceTags>) {
    const labels = Object.entries(tags).map(([key, value]) => [`io.shipfox.provisioner.${key}`, value] as const);
    const container = await this.docker.createContainer({
      name,
      Image: BASE_IMAGE,
      Entrypoint: ["sleep", "600"],
      Labels: { ...Object.fromEntries(labels), [MARK]: this.id },
      HostConfig: { Init: true },
    });
    await container.start();
    return {
      providerId: container.id,
      exists: () =>
        container.inspect().then(
          () => true,
          () => false,
        ),
      remove: () => container.remove({ force: true, v: true }),
    };
  }

  /** Everything on the engine that a driver can make. */
  async inventory(): Promise<string[]> {
    const label = ["io.shipfox.provisioner.controller"];
    const containers = await this.docker.listContainers({ all: true, filters: { label } });
    const networks = await this.docker.listNetworks({ filters: { name: [this.network] } });
    const { Volumes } = await this.docker.listVolumes();
    return [
      ...containers.filter(({ Labels }) => Labels["test.run"] === this.id).map(({ Id }) => `container ${Id}`),
      ...networks.map(({ Name }) => `network ${Name}`),
      ...Volumes.filter(({ Labels }) => Labels?.["test.run"] === this.id).map(({ Name }) => `volume ${Name}`),
    ].toSorted();
  }

  async close(): Promise<void> {
    for (const label of [`${MARK}=${this.id}`, `test.run=${this.id}`]) {
      for (const { Id } of await this.docker.listContainers({ all: true, filters: { label: [label] } }))
        await this.docker.getContainer(Id).remove({ force: true, v: true });
    }
    await this.docker.getNetwork(this.network).remove().catch(ignoreMissing);
    for (const image of this.#images) await this.docker.getImage(image).remove({ force: true }).catch(ignoreMissing);
  }
}

function ignoreMissing(error: Error & { statusCode?: number }): void {
  if (error.statusCode !== 404) throw error;
}
