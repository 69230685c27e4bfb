import { type Engine, STATUS } from "./engine.ts";
import { type DockerSettings, gatewayOf } from "./options.ts";

const BRIDGE_OPTIONS = { "com.docker.network.bridge.enable_icc": "false" };

/**
 * The bridge of the runners' containers, who cannot reach each other on it. It is made when the first machine is, and stays: its
 * gateway is an address of the host on which a control plane may listen. With a subnet of its own, because those that the engine
 * would choose from end at about thirty.
 */
export class RunnersNetwork {
  readonly #engine: Engine;
  readonly #settings: DockerSettings;
  #isThere = false;

  constructor(engine: Engine, settings: DockerSettings) {
    this.#engine = engine;
    this.#settings = settings;
  }

  async ensure(signal: AbortSignal): Promise<void> {
    if (this.#isThere) return;
    const { network: Name, subnet } = this.#settings;
    const found = await this.#engine.find("look at the network", { signal }, (docker) =>
      docker.getNetwork(Name).inspect(),
    );
    if (found === null) {
      // A conflict: somebody else made it in between.
      await this.#engine.callOrStatus("creation of the network", { signal }, [STATUS.conflict], (docker, abortSignal) =>
        docker.createNetwork({
          Name,
          Driver: "bridge",
          CheckDuplicate: true,
          IPAM: { Driver: "default", Config: [{ Subnet: subnet, Gateway: gatewayOf(subnet) }] },
          Options: BRIDGE_OPTIONS,
          abortSignal,
        }),
      );
    }
    this.#isThere = true;
  }

  /** Somebody may have removed it: it is looked for again. */
  forget(): void {
    this.#isThere = false;
  }
}
