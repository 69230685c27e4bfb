import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { runnerIsRoot } from "../job-user.ts";
import { removeTree } from "../remove-tree.ts";
import { SandboxError, hostFault } from "../sandbox-error.ts";
import type { JobUser } from "../sandbox.ts";
import type { Lifeline } from "../lifelines.ts";
import { StepFolder } from "../step-folder.ts";
import type { CleanUps } from "./clean-ups.ts";
import { FILES_INSIDE, cleanerOptions, holderOptions, labelsOf } from "./container-options.ts";
import type { DockerSettings } from "./docker-options.ts";
import { type Engine, pause } from "./engine.ts";
import { bridgeName } from "../network/firewall.ts";
import type { NetworkBarriers } from "./network-barriers.ts";
import { serviceHolderOptions } from "./service-options.ts";
import { type Subnet, formatAddress, formatSubnet, freeBlocks, parseSubnet } from "./subnets.ts";

/** A subnet, a network namespace with its forbidden routes, and empty folders: what one job needs, whatever its image. */
export interface Place {
  readonly id: string;
  readonly folder: string;
  readonly workspace: string;
  readonly files: string;
  /** For the user of the job that has the place. */
  stepFolder: StepFolder;
  /** Null when jobs have no network. */
  readonly network: PlaceNetwork | null;
}

interface PlaceNetwork {
  readonly networkId: string;
  readonly holderId: string;
  /** What its holders run. */
  readonly holderImageId: string;
  readonly lifeline: Lifeline;
  /** Next hop of everything outside the place, an address of the host. */
  readonly gateway: string;
  /** The `version` of the barriers that were raised in it. */
  barriers: string;
}

/** How many subnets are tried when other runners or networks are in the way. */
const SUBNET_TRIES = 16;
const FOLDER_REMOVE_MS = 60_000;
const CLEANER_POLL_MS = 50;

/** Makes and destroys places, any number at once; remembers nothing about them. */
export class Places {
  readonly #engine: Engine;
  readonly #settings: DockerSettings;
  readonly #barriers: NetworkBarriers;
  readonly #cleanUps: CleanUps;
  readonly #placesFolder: string;

  constructor(engine: Engine, settings: DockerSettings, barriers: NetworkBarriers, cleanUps: CleanUps) {
    this.#engine = engine;
    this.#settings = settings;
    this.#barriers = barriers;
    this.#cleanUps = cleanUps;
    this.#placesFolder = join(settings.workRoot, "places");
  }

  get folder(): string {
    return this.#placesFolder;
  }

  /** `imageId` is what holders run: any image with `sh`. What it cannot remove when it rejects is removed later. */
  async make(imageId: string): Promise<Place> {
    const id = randomBytes(6).toString("hex");
    const folder = join(this.#placesFolder, id);
    const place = {
      id,
      folder,
      workspace: join(folder, "workspace"),
      files: join(folder, "files"),
      stepFolder: new StepFolder(join(folder, "files"), FILES_INSIDE, this.#settings.user),
    };
    try {
      await this.#makeFolders(place);
      return { ...place, network: this.#settings.egress === "none" ? null : await this.#makeNetwork(id, imageId) };
    } catch (error) {
      await this.removeFolder(folder, id, imageId).catch(() => {});
      throw hostFault("cannot make a place for a job", error);
    }
  }

  /** Whether a place that waited still has its network: somebody may have removed the holder by hand. */
  async isUsable(place: Place): Promise<boolean> {
    if (place.network === null) return true;
    return (await this.#engine.inspectContainer(place.network.holderId))?.State.Running ?? false;
  }

  /** To be called when a job gets a place that waited: the host may have other addresses by now. */
  async renewBarriers(place: Place): Promise<void> {
    if (place.network === null) return;
    const version = await this.#barriers.version();
    if (place.network.barriers === version) return;
    await this.#barriers.raise(place.network.holderId, place.network.gateway);
    place.network.barriers = version;
  }

  /** Makes an unused place the place of `user`, who may be another than most jobs have. */
  async giveTo(place: Place, user: JobUser): Promise<void> {
    if (user.uid === this.#settings.user.uid) return;
    await chown(place.workspace, user.uid, user.gid);
    place.stepFolder = new StepFolder(place.files, FILES_INSIDE, user);
  }

  /** A new name each time: a container that is replaced may belong to another image. */
  overlayFolder(place: Place): string {
    return join(place.folder, `overlay-${randomBytes(4).toString("hex")}`);
  }

  /** Every part is tried, also after another failed; rejects with `clean_up_failed` when something is left. */
  async destroy(place: Place, imageId: string | null): Promise<void> {
    const faults: unknown[] = [];
    const attempt = async (work: Promise<void>) => await work.catch((error: unknown) => void faults.push(error));
    const removeNetwork = async () => {
      if (place.network === null) return;
      place.network.lifeline.release();
      await attempt(this.#engine.removeContainer(place.network.holderId));
      await attempt(this.#engine.removeNetwork(place.network.networkId));
    };
    await Promise.all([removeNetwork(), attempt(this.removeFolder(place.folder, place.id, imageId))]);
    if (faults.length > 0) throw cleanUpFault(faults);
  }

  /** For a place, or what is left of one, after all its containers are gone. */
  async removeFolder(folder: string, placeId: string, imageId: string | null): Promise<void> {
    try {
      await removeTree(folder, FOLDER_REMOVE_MS);
    } catch (error) {
      if (runnerIsRoot() || imageId === null) throw error;
      await this.#removeAsRootInside(folder, placeId, imageId);
      await removeTree(folder, FOLDER_REMOVE_MS);
    }
  }

  async #makeFolders(place: { folder: string; workspace: string; stepFolder: StepFolder }): Promise<void> {
    await mkdir(place.folder, { mode: 0o700 });
    await mkdir(place.workspace, { mode: 0o700 });
    await chmod(place.workspace, 0o700);
    const { uid, gid } = this.#settings.user;
    if (runnerIsRoot()) await chown(place.workspace, uid, gid);
    await place.stepFolder.make();
  }

  async #makeNetwork(placeId: string, imageId: string): Promise<PlaceNetwork> {
    const { networkId, gateway } = await this.#createNetwork(placeId);
    let holderId: string | null = null;
    let lifeline: Lifeline | null = null;
    try {
      holderId = await this.#engine.createContainer(
        holderOptions({
          settings: this.#settings,
          owner: this.#owner(placeId),
          imageId,
          networkId,
          mayAdministerNetwork: !this.#barriers.entersNamespaces,
        }),
      );
      lifeline = await this.#settings.lifelines.holdContainer(this.#engine.address, holderId);
      await this.#engine.startContainer(holderId);
      const barriers = await this.#barriers.version();
      if (await this.#barriers.raise(holderId, gateway))
        return { networkId, holderId, holderImageId: imageId, lifeline, gateway, barriers };
    } catch (error) {
      lifeline?.release();
      const made = holderId;
      await this.#cleanUps
        .attempt(placeId, async () => {
          if (made !== null) await this.#engine.removeContainer(made);
          await this.#engine.removeNetwork(networkId);
        })
        .catch(() => {});
      throw error;
    }
    // The engine's processes are out of reach, as for a runner in a container: the holder has to do it.
    this.#barriers.entersNamespaces = false;
    lifeline.release();
    await this.#engine.removeContainer(holderId);
    await this.#engine.removeNetwork(networkId);
    return await this.#makeNetwork(placeId, imageId);
  }

  /** A container with a network namespace of its own in the place, which answers to `name` and has the place's barriers. */
  async addHolder(place: Place, name: string): Promise<{ id: string; lifeline: Lifeline }> {
    if (place.network === null) throw new SandboxError("not_supported", "A job without a network has no services.");
    const { networkId, holderImageId, gateway } = place.network;
    const plan = {
      settings: this.#settings,
      owner: this.#owner(place.id),
      imageId: holderImageId,
      networkId,
      mayAdministerNetwork: !this.#barriers.entersNamespaces,
    };
    const id = await this.#engine.createContainer(serviceHolderOptions(plan, networkName(place.id), name));
    let lifeline: Lifeline | null = null;
    try {
      lifeline = await this.#settings.lifelines.holdContainer(this.#engine.address, id);
      await this.#engine.startContainer(id);
      if (await this.#barriers.raise(id, gateway)) return { id, lifeline };
      throw new SandboxError(
        "network_unavailable",
        "The network of a service cannot be closed to forbidden addresses.",
      );
    } catch (error) {
      lifeline?.release();
      await this.#engine.removeContainer(id).catch(() => {});
      throw error;
    }
  }

  async #createNetwork(placeId: string): Promise<{ networkId: string; gateway: string }> {
    const taken = (await this.#engine.listNetworks()).flatMap(subnetsOf);
    const start = randomBytes(4).readUInt32BE();
    const candidates = freeBlocks(this.#settings.network, taken, start, SUBNET_TRIES);
    let fault: unknown = new SandboxError(
      "network_unavailable",
      `No free /28 subnet is left in ${this.#settings.subnet}. Give the runner a larger SHIPFOX_RUNNER_SUBNET.`,
    );
    for (const subnet of candidates) {
      try {
        const gateway = formatAddress(subnet.address + 1);
        const networkId = await this.#engine.createNetwork({
          Name: networkName(placeId),
          Driver: "bridge",
          IPAM: { Driver: "default", Config: [{ Subnet: formatSubnet(subnet), Gateway: gateway }] },
          Options: { "com.docker.network.bridge.name": bridgeName(this.#settings.runnerId, placeId) },
          Labels: labelsOf(this.#owner(placeId), "network"),
        });
        return { networkId, gateway };
      } catch (error) {
        // Somebody took the block since we looked: the next one.
        if (!(error instanceof SandboxError) || error.reason !== "network_unavailable") throw error;
        fault = error;
      }
    }
    throw fault;
  }

  async #removeAsRootInside(folder: string, placeId: string, imageId: string): Promise<void> {
    const id = await this.#engine.createContainer(cleanerOptions(this.#owner(placeId), imageId, folder));
    try {
      await this.#engine.startContainer(id);
      const deadline = performance.now() + FOLDER_REMOVE_MS;
      while ((await this.#engine.inspectContainer(id))?.State.Running && performance.now() < deadline) {
        await pause(CLEANER_POLL_MS);
      }
    } finally {
      await this.#engine.removeContainer(id);
    }
  }

  #owner(placeId: string) {
    return { runnerId: this.#settings.runnerId, placeId, executionId: null };
  }
}

function networkName(placeId: string): string {
  return `shipfox-${placeId}`;
}

function subnetsOf(network: { IPAM?: { Config?: { Subnet?: string }[] | null } }): Subnet[] {
  return (network.IPAM?.Config ?? []).flatMap((config) => {
    try {
      return [parseSubnet(config.Subnet ?? "")];
    } catch {
      return [];
    }
  });
}

export function cleanUpFault(faults: readonly unknown[]): SandboxError {
  const details = faults.map((fault) => (fault instanceof Error ? fault.message : String(fault))).join("; ");
  const message = `Something of a job is left: ${details}. The runner tries again at its next start.`;
  return new SandboxError("clean_up_failed", message, { cause: faults[0] });
}
