import { SandboxError } from "../sandbox-error.ts";
import type { JobUser, SandboxJob } from "../sandbox.ts";
import { WarmPool } from "../warm-pool.ts";
import {
  type Account,
  accountArchive,
  accountEnv,
  accountOverlays,
  canLieOver,
  makeHome,
  firstFileText,
  planAccount,
} from "./account.ts";
import type { CleanUps } from "./clean-ups.ts";
import { LABEL_PLACE, jobContainerOptions, probeOptions } from "./container-options.ts";
import type { DockerSettings } from "./docker-options.ts";
import type { Engine } from "./engine.ts";
import type { ImageAsker, Images, JobImage } from "./images.ts";
import { JobContainer } from "./job-container.ts";
import { JobServices } from "./job-services.ts";
import { type Place, type Places, cleanUpFault } from "./place.ts";
import { ROOT, mayBeRoot } from "./root-images.ts";
import { Service } from "./service.ts";
import { ShellsAhead } from "./shells-ahead.ts";

/** A place and the container in which its job's steps run. */
export interface JobRoom {
  readonly place: Place;
  /** What its container is started with. */
  readonly wish: Wish;
  container: JobContainer;
  /** The warm container that the job could not use, until the room is closed: removing it earlier would slow the job's start. */
  readonly spare: JobContainer | null;
  /** Set when the room is given to a job that has some; not started yet. */
  services: JobServices | null;
}

/** What a job's container is started with; a warm one serves only a job that wants the same. */
interface Wish {
  readonly image: JobImage;
  readonly user: JobUser;
  readonly hasNetwork: boolean;
  /** Null for what is made ahead. */
  readonly executionId: string | null;
}

/** What an image knows about the steps' user. */
interface KnownAccount {
  readonly account: Account;
  readonly imageHasHome: boolean;
}

function isServedBy(wish: Wish, { wish: made }: JobRoom): boolean {
  return made.image.id === wish.image.id && made.user.uid === wish.user.uid && made.hasNetwork === wish.hasNetwork;
}

/** A job's first step has started by then, on a machine that is not overloaded. */
const REFILL_DELAY_MS = 300;
const MAX_PASSWD_BYTES = 1024 * 1024;

/** Opens and closes job rooms, warm when the job wants the default image, in a place made ahead in any case. */
export class JobRooms {
  readonly #engine: Engine;
  readonly #settings: DockerSettings;
  readonly #images: Images;
  readonly #places: Places;
  /** Places with a started container of the default image. */
  readonly #rooms: WarmPool<JobRoom>;
  /** Bare places, when no container is kept warm: making one takes longer than starting the job's container in it. */
  readonly #barePlaces: WarmPool<Place>;
  readonly #shellsAhead = new ShellsAhead();
  readonly #accounts = new Map<string, KnownAccount>();
  /** Known after `prepare`: whether the engine itself can bound what a container writes to its layer. */
  limitsLayers = false;
  readonly #cleanUps: CleanUps;

  constructor(engine: Engine, settings: DockerSettings, images: Images, places: Places, cleanUps: CleanUps) {
    this.#engine = engine;
    this.#settings = settings;
    this.#images = images;
    this.#places = places;
    this.#cleanUps = cleanUps;
    this.#rooms = new WarmPool({
      size: settings.poolSize,
      make: async () => await this.#makeRoom(),
      isUsable: async (room) => await room.container.isUsable(),
      destroy: async (room) => await this.close(room),
      refillDelayMs: REFILL_DELAY_MS,
      maxAgeMs: settings.warmMaxAgeMs,
      logger: settings.logger,
    });
    this.#barePlaces = new WarmPool({
      size: settings.poolSize === 0 ? settings.concurrency : 0,
      make: async () => await places.make((await this.#defaultImage()).id),
      isUsable: async (place) => await places.isUsable(place),
      destroy: async (place) => await this.#discard(place),
      refillDelayMs: REFILL_DELAY_MS,
      maxAgeMs: settings.warmMaxAgeMs,
      logger: settings.logger,
    });
  }

  fillPool(): void {
    this.#rooms.fill();
    this.#barePlaces.fill();
  }

  describePool(): { ready: number; wanted: number } {
    return { ready: this.#rooms.ready, wanted: this.#settings.poolSize };
  }

  /** Resolves when the pool is as full as it gets for now. */
  async poolSettled(): Promise<void> {
    await Promise.all([this.#rooms.settled(), this.#barePlaces.settled()]);
  }

  async open(job: SandboxJob): Promise<JobRoom> {
    const needs = Promise.all([this.#wishOf(job), this.#servicesOf(job)]);
    needs.catch(() => {});
    // A job with an image that is not to be had costs no place; the default image is as good as certain.
    if (job.image !== null) await needs;
    const room = this.#settings.poolSize === 0 ? await this.#openCold((await needs)[0]) : await this.#openWarm(needs);
    try {
      const [wish, services] = await needs;
      await this.#places.giveTo(room.place, wish.user);
      room.services = services;
      return room;
    } catch (error) {
      return await this.#giveUp(room, error);
    }
  }

  async #openCold(wish: Wish): Promise<JobRoom> {
    const place = await this.#barePlaces.take();
    try {
      await this.#places.renewBarriers(place);
      return { place, wish, container: await this.#startContainer(place, wish), spare: null, services: null };
    } catch (error) {
      await this.#discard(place).catch(() => {});
      throw error;
    }
  }

  async #openWarm(needs: Promise<readonly [Wish, JobServices | null]>): Promise<JobRoom> {
    const room = await this.#rooms.take();
    try {
      const [[wish]] = await Promise.all([needs, this.#places.renewBarriers(room.place)]);
      if (isServedBy(wish, room)) return room;
      const container = await this.#startContainer(room.place, wish);
      return { place: room.place, wish, container, spare: room.container, services: null };
    } catch (error) {
      return await this.#giveUp(room, error);
    }
  }

  async #giveUp(room: JobRoom, error: unknown): Promise<never> {
    await this.close(room).catch((fault: unknown) =>
      this.#settings.logger.warn({ err: fault }, "cannot remove a place"),
    );
    throw error;
  }

  async replaceContainer(room: JobRoom): Promise<void> {
    await room.container.remove();
    room.container = await this.#startContainer(room.place, room.wish);
  }

  /** What the containers of a place, services included, have written to their own layers. */
  async layerBytes(place: Place): Promise<number> {
    return await this.#engine.layerBytes(`${LABEL_PLACE}=${place.id}`);
  }

  /** Rejects when one of them is not ready in time; what was started goes with the room. */
  async startServices(room: JobRoom, job: SandboxJob): Promise<void> {
    const { report, signal } = askerOf(job);
    const { executionId } = job;
    await room.services?.start({ places: this.#places, place: room.place, executionId, report, signal });
  }

  async #servicesOf(job: SandboxJob): Promise<JobServices | null> {
    const configs = job.services ?? [];
    if (configs.length === 0) return null;
    if (job.network === "none" || this.#settings.egress === "none") {
      throw new SandboxError(
        "not_supported",
        "The job has services, but no network in which its steps could reach them.",
      );
    }
    const services = configs.map(async (config) => {
      const image = await this.#images.obtain(config.image, config.pull, askerOf(job));
      return new Service(this.#engine, this.#settings, config, image);
    });
    return new JobServices(this.#engine, this.#settings, await Promise.all(services));
  }

  /** Who the steps of a job are. */
  userOf(job: SandboxJob): JobUser {
    const { defaultImage, rootImages, user } = this.#settings;
    return mayBeRoot(job.image ?? defaultImage, rootImages) ? ROOT : user;
  }

  async #wishOf(job: SandboxJob): Promise<Wish> {
    const image =
      job.image === null ? await this.#defaultImage() : await this.#images.obtain(job.image, job.pull, askerOf(job));
    const hasNetwork = job.network !== "none" && this.#settings.egress !== "none";
    return { image, user: this.userOf(job), hasNetwork, executionId: job.executionId };
  }

  /** Rejects with `clean_up_failed` when something is left; that is tried again in the background until nothing is. */
  async close(room: JobRoom): Promise<void> {
    if (room.container.launches > 0) this.#shellsAhead.jobEnded(room.container.launches);
    await this.#cleanUps.attempt(room.place.id, async () => await this.#remove(room));
  }

  /** Container first: a place's folder is only removed when nothing can write to it any more. */
  async #remove(room: JobRoom): Promise<void> {
    const faults: unknown[] = [];
    const remove = async (container: JobContainer | null) =>
      await container?.remove().catch((error: unknown) => void faults.push(error));
    const services = room.services?.remove().catch((error: unknown) => void faults.push(error));
    await Promise.all([remove(room.container), remove(room.spare), services]);
    if (faults.length === 0) await this.#destroyPlace(room.place).catch((error: unknown) => void faults.push(error));
    if (faults.length > 0) throw cleanUpFault(faults);
  }

  async closePool(): Promise<void> {
    this.#cleanUps.close();
    const closed = await Promise.allSettled([this.#rooms.close(), this.#barePlaces.close()]);
    const faults = closed.filter((result) => result.status === "rejected").map((result) => result.reason as unknown);
    if (faults.length > 0) throw cleanUpFault(faults);
  }

  async #makeRoom(): Promise<JobRoom> {
    const wish = { ...(await this.#wishOf({ jobId: "", executionId: "", image: null })), executionId: null };
    const place = await this.#places.make(wish.image.id);
    try {
      const container = await this.#startContainer(place, wish);
      await container.warmUp();
      return { place, container, wish, spare: null, services: null };
    } catch (error) {
      await this.#discard(place).catch(() => {});
      throw error;
    }
  }

  /** For a place without a container. */
  async #discard(place: Place): Promise<void> {
    await this.#cleanUps.attempt(place.id, async () => await this.#destroyPlace(place));
  }

  async #destroyPlace(place: Place): Promise<void> {
    const image = await this.#images.ensure(this.#settings.defaultImage).catch(() => null);
    await this.#places.destroy(place, image?.id ?? null);
  }

  async #startContainer(place: Place, { image, user, hasNetwork, executionId }: Wish): Promise<JobContainer> {
    const owner = { runnerId: this.#settings.runnerId, placeId: place.id, executionId };
    const settings = { ...this.#settings, user };
    const { account, imageHasHome } = await this.#accountOf(image, user, place.id);
    const { npmrcFile, caFile, readOnlyRoot } = settings;
    const folder = this.#places.overlayFolder(place);
    const liesOver = readOnlyRoot || canLieOver(account, imageHasHome);
    const overlays = liesOver ? await accountOverlays(account, { npmrcFile, caFile }, folder) : {};
    const id = await this.#engine.createContainer(
      jobContainerOptions({
        settings,
        user,
        owner,
        imageId: image.id,
        holderId: hasNetwork ? (place.network?.holderId ?? null) : null,
        workspace: place.workspace,
        files: place.files,
        // The image's own variables come from the engine.
        env: { ...accountEnv(account, caFile !== null), ...settings.passedEnv },
        home: account.home,
        homeFolder: liesOver && !readOnlyRoot ? await makeHome(account, folder) : null,
        overlays,
        layerBytes: this.limitsLayers ? settings.diskLimitBytes : null,
      }),
    );
    try {
      if (!liesOver) await this.#engine.writeArchive(id, await accountArchive(account, { npmrcFile, caFile }));
    } catch (error) {
      await this.#engine.removeContainer(id).catch(() => {});
      throw error;
    }
    return await JobContainer.start(this.#engine, settings, id, this.#shellsAhead.count);
  }

  /** What the image knows about the steps' user, looked up once per image. */
  async #accountOf(image: JobImage, user: JobUser, placeId: string): Promise<KnownAccount> {
    const key = `${user.uid} ${image.id}`;
    const known = this.#accounts.get(key);
    if (known) return known;
    const owner = { runnerId: this.#settings.runnerId, placeId, executionId: null };
    const id = await this.#engine.createContainer(probeOptions(owner, image.id));
    try {
      if (!(await this.#engine.hasFile(id, "/bin/sh"))) {
        const message = `The image ${image.reference} has no /bin/sh: steps cannot run in it. Choose an image with a shell.`;
        throw new SandboxError("image_unusable", message);
      }
      const [passwd, group] = [await this.#fileText(id, "/etc/passwd"), await this.#fileText(id, "/etc/group")];
      const account = planAccount(user, passwd, group);
      const known = { account, imageHasHome: await this.#engine.hasFile(id, account.home) };
      this.#accounts.set(key, known);
      return known;
    } finally {
      await this.#engine.removeContainer(id);
    }
  }

  async #fileText(containerId: string, path: string): Promise<string> {
    const tar = await this.#engine.readArchive(containerId, path);
    return tar === null ? "" : await firstFileText(tar, MAX_PASSWD_BYTES);
  }

  async #defaultImage(): Promise<JobImage> {
    return await this.#images.ensure(this.#settings.defaultImage);
  }
}

function askerOf(job: SandboxJob): ImageAsker {
  return {
    credential: job.registryCredential ?? (async () => null),
    report: job.report ?? (() => {}),
    signal: job.signal ?? new AbortController().signal,
  };
}
