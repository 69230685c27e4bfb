import {
  DescribeInstancesCommand,
  type Filter,
  GetConsoleOutputCommand,
  type Instance,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { consoleText } from "../console-text.ts";
import {
  type CreateRequest,
  type InstanceTags,
  type MachineState,
  MAX_CONSOLE_CHARS,
  type ObservedMachine,
  type Provider,
  ProviderError,
} from "../driver.ts";
import { labelsOf, ownerLabels, sameTags, tagsOf } from "../tag-labels.ts";
import { checkAccount } from "./check-account.ts";
import { bounded, codeOf, Ec2Api } from "./ec2-api.ts";
import { disksOf, findImage, missingImage } from "./images.ts";
import type { Ec2Machine, Ec2Settings } from "./options.ts";
import { type ImageDisks, runInstancesInput, subnetsInOrder } from "./run-instances.ts";

/** Amazon promises no bound: it is seconds nearly always. */
const LIST_LAG_MS = 60_000;
const PAGE_SIZE = 1_000;
const MAX_PAGES = 100;

const STATES: Readonly<Record<string, MachineState>> = {
  pending: "starting",
  running: "running",
  "shutting-down": "stopping",
  stopping: "stopping",
  stopped: "stopped",
  terminated: "stopped",
};

type Request = CreateRequest<Ec2Machine>;
interface Made {
  readonly providerId: string;
}

/** Instances of one region of one account. What is known of a machine stands in the tags of its instance. */
export class Ec2Provider implements Provider<Ec2Machine> {
  readonly listLagMs = LIST_LAG_MS;
  readonly #api: Ec2Api;
  readonly #settings: Ec2Settings;
  /** By instance, those that no list needs to show yet: with several subnets a client token alone does not keep a second from being made. */
  readonly #recent = new Map<string, Promise<Made>>();
  /** By image; an image never changes. */
  readonly #disks = new Map<string, ImageDisks>();
  /** Deleted ones, with their owner: EC2 may go on listing them, as terminated, for an hour. */
  readonly #deleted = new Map<string, string>();

  constructor(settings: Ec2Settings, baseDir: string) {
    this.#settings = settings;
    this.#api = new Ec2Api(settings, baseDir);
  }

  check(machines: readonly Ec2Machine[], signal: AbortSignal): Promise<readonly string[]> {
    return checkAccount(this.#api, this.#settings, machines, bounded(signal));
  }

  create(request: Request, signal: AbortSignal): Promise<Made> {
    const key = JSON.stringify(labelsOf(request.tags));
    const recent = this.#recent.get(key);
    if (recent !== undefined) return recent;
    const creation = this.#create(request, bounded(signal));
    this.#recent.set(key, creation);
    creation.then(
      () => setTimeout(() => this.#recent.delete(key), LIST_LAG_MS).unref(),
      () => this.#recent.delete(key),
    );
    return creation;
  }

  async list(owner: Omit<InstanceTags, "instance">, signal: AbortSignal): Promise<readonly ObservedMachine[]> {
    const instances = await this.#describe(filtersOf(ownerLabels(owner)), bounded(signal));
    const present = new Set(instances.map(({ InstanceId }) => InstanceId));
    for (const [id, itsOwner] of this.#deleted)
      if (itsOwner === ownerKey(owner) && !present.has(id)) this.#deleted.delete(id);
    return instances.flatMap((instance) => {
      const { InstanceId: providerId = "", State } = instance;
      const tags = tagsOn(instance);
      // Nothing is left to do about it: it was deleted, or nobody can say whose it was.
      if (isTerminated(instance) && (tags === null || this.#deleted.has(providerId))) return [];
      return [{ providerId, tags, state: STATES[State?.Name ?? ""] ?? "stopping" }];
    });
  }

  async delete({ providerId, tags }: { providerId: string; tags: InstanceTags }, signal: AbortSignal): Promise<void> {
    const limit = bounded(signal);
    const instance = await this.#find(providerId, limit);
    // The tags of a terminated instance fade before it does.
    if (instance !== null && !isTerminated(instance)) {
      if (!sameTags(tagsOn(instance), tags))
        throw new ProviderError("refused", `instance ${providerId} does not carry exactly the expected tags`);
      await this.#terminate(providerId, limit);
    }
    this.#deleted.set(providerId, ownerKey(tags));
  }

  async readConsole(providerId: string, signal: AbortSignal): Promise<string | null> {
    if (this.#deleted.has(providerId)) return null;
    const limit = bounded(signal);
    const instance = await this.#find(providerId, limit);
    if (instance === null || tagsOn(instance) === null) return null;
    const printed = Buffer.from((await this.#console(providerId, limit)) ?? "", "base64");
    // Control characters go, so more is read than is answered.
    const text = consoleText(printed.subarray(-4 * MAX_CONSOLE_CHARS));
    const reason = instance.StateReason?.Message?.trim();
    return text ?? (reason ? `EC2: ${reason}` : null);
  }

  async close(): Promise<void> {
    this.#api.close();
  }

  async #create(request: Request, signal: AbortSignal): Promise<Made> {
    const disks = await this.#disksOf(request.machine, signal);
    const subnets = subnetsInOrder(request.machine, request.tags);
    // Each subnet has a token of its own, so a machine that an earlier provisioner made in a later one is looked for.
    const former = subnets.length > 1 ? await this.#findFormer(request.tags, signal) : null;
    if (former !== null) return former;
    const refusals: ProviderError[] = [];
    for (const subnet of subnets) {
      try {
        return await this.#run(runInstancesInput(request, this.#settings, { subnet, disks }), request.tags, signal);
      } catch (error) {
        if (!(error instanceof ProviderError) || !isOnlyHere(error)) throw error;
        refusals.push(error);
      }
    }
    // Room may come; a zone that never has this type never will.
    throw refusals.find(({ fault }) => fault === "no_capacity") ?? refusals[0] ?? new Error("there is no subnet");
  }

  async #run(input: ReturnType<typeof runInstancesInput>, tags: InstanceTags, signal: AbortSignal): Promise<Made> {
    try {
      const { Instances } = await this.#api.call("start of an instance", { signal, changes: true }, (client, options) =>
        client.send(new RunInstancesCommand(input), options),
      );
      const providerId = Instances?.[0]?.InstanceId;
      if (providerId !== undefined) return { providerId };
      throw new ProviderError("unavailable", "EC2 named no instance that it started", { mayHaveHappened: true });
    } catch (error) {
      if (codeOf(error) !== "IdempotentParameterMismatch") throw error;
      // There is one already; its order differed, as when the template was changed in between.
      const former = await this.#findFormer(tags, signal);
      if (former !== null) return former;
      const message = "EC2 has started this instance before, by another order, and does not list it yet";
      throw new ProviderError("unavailable", message, { mayHaveHappened: true, cause: error });
    }
  }

  async #findFormer(tags: InstanceTags, signal: AbortSignal): Promise<Made | null> {
    const [former] = await this.#describe(filtersOf(labelsOf(tags)), signal);
    return former?.InstanceId === undefined ? null : { providerId: former.InstanceId };
  }

  /** All pages. */
  async #describe(Filters: Filter[], signal: AbortSignal): Promise<Instance[]> {
    const instances: Instance[] = [];
    let NextToken: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const input = { Filters, MaxResults: PAGE_SIZE, ...(NextToken === undefined ? {} : { NextToken }) };
      const answer = await this.#api.call("list of instances", { signal }, (client, options) =>
        client.send(new DescribeInstancesCommand(input), options),
      );
      instances.push(...instancesOf(answer));
      NextToken = answer.NextToken || undefined;
      if (NextToken === undefined) return instances;
    }
    throw new ProviderError("unavailable", `EC2's list of instances does not end after ${MAX_PAGES} pages`);
  }

  /** Null when EC2 does not know it. */
  async #find(id: string, signal: AbortSignal): Promise<Instance | null> {
    try {
      const answer = await this.#api.call("look at an instance", { signal }, (client, options) =>
        client.send(new DescribeInstancesCommand({ InstanceIds: [id] }), options),
      );
      return instancesOf(answer)[0] ?? null;
    } catch (error) {
      if (codeOf(error) === "InvalidInstanceID.NotFound") return null;
      throw error;
    }
  }

  async #terminate(id: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#api.call("end of an instance", { signal, changes: true }, (client, options) =>
        client.send(new TerminateInstancesCommand({ InstanceIds: [id] }), options),
      );
    } catch (error) {
      if (codeOf(error) !== "InvalidInstanceID.NotFound") throw error;
    }
  }

  /** In base64. Only instances of newer types tell it while they run. */
  async #console(id: string, signal: AbortSignal): Promise<string | undefined> {
    const read = (Latest: boolean) =>
      this.#api.call("read of a console", { signal }, (client, options) =>
        client.send(new GetConsoleOutputCommand({ InstanceId: id, Latest }), options),
      );
    const { Output } = await read(true).catch((error: unknown) => {
      if (codeOf(error) !== "UnsupportedOperation") throw error;
      return read(false);
    });
    return Output;
  }

  async #disksOf({ image }: Ec2Machine, signal: AbortSignal): Promise<ImageDisks | null> {
    if (image === undefined) return null;
    const known = this.#disks.get(image);
    if (known !== undefined) return known;
    const found = await findImage(this.#api, image, signal);
    if (found === null) throw new ProviderError("refused", missingImage(image));
    const disks = disksOf(found);
    this.#disks.set(image, disks);
    return disks;
  }
}

function instancesOf({
  Reservations,
}: {
  readonly Reservations?: readonly { readonly Instances?: Instance[] | undefined }[] | undefined;
}) {
  return (Reservations ?? []).flatMap(({ Instances }) => Instances ?? []);
}

function filtersOf(labels: Readonly<Record<string, string>>): Filter[] {
  return Object.entries(labels).map(([key, value]) => ({ Name: `tag:${key}`, Values: [value] }));
}

function tagsOn({ Tags }: Instance): InstanceTags | null {
  return tagsOf(Object.fromEntries((Tags ?? []).map(({ Key = "", Value = "" }) => [Key, Value])));
}

function ownerKey(owner: Omit<InstanceTags, "instance">): string {
  return JSON.stringify(ownerLabels(owner));
}

function isTerminated({ State }: Instance): boolean {
  return State?.Name === "terminated";
}

/** Another subnet, which may be in another zone, can have room for the machine, or machines of its type. */
function isOnlyHere(error: ProviderError): boolean {
  return error.fault === "no_capacity" || codeOf(error) === "Unsupported";
}
