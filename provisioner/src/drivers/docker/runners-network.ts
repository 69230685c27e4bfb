import { type Engine, STATUS } from "./engine.ts";
import { CALL_LIMIT_MS, ProviderError } from "../driver.ts";
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
  #making: Promise<void> | null = null;

  constructor(engine: Engine, settings: DockerSettings) {
    this.#engine = engine;
    this.#settings = settings;
  }

  /** Those who need it at the same time wait for the first one who does. */
  async ensure(signal: AbortSignal): Promise<void> {
    if (this.#isThere) return;
    this.#making ??= this.#make().finally(() => {
      this.#making = null;
    });
    await orAborted(this.#making, signal);
  }

  async #make(): Promise<void> {
    const signal = AbortSignal.timeout(CALL_LIMIT_MS);
    if (!(await this.#exists(signal))) {
      try {
        await this.#create(signal);
      } catch (error) {
        // Another process made it in between: then its subnet is taken.
        if (!(await this.#exists(signal))) throw error;
      }
    }
    this.#isThere = true;
  }

  async #exists(signal: AbortSignal): Promise<boolean> {
    const { network } = this.#settings;
    const find = { signal };
    return (
      (await this.#engine.find("look at the network", find, (docker) => docker.getNetwork(network).inspect())) !== null
    );
  }

  async #create(signal: AbortSignal): Promise<void> {
    const { network: Name, subnet } = this.#settings;
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

  /** Somebody may have removed it: it is looked for again. */
  forget(): void {
    this.#isThere = false;
  }
}

/** Rejects as soon as the caller gives up; the work of all goes on. */
async function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const given = Promise.withResolvers<never>();
  const giveUp = () =>
    given.reject(new ProviderError("unavailable", "the machine was given up while its network was made"));
  if (signal.aborted) giveUp();
  signal.addEventListener("abort", giveUp, { once: true });
  work.catch(() => undefined);
  try {
    await Promise.race([work, given.promise]);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}
