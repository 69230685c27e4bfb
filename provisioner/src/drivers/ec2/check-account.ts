import {
  DescribeInstancesCommand,
  DescribeInstanceTypesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  type EC2Client,
  type Filter,
  type Image,
  RunInstancesCommand,
} from "@aws-sdk/client-ec2";
import { ProviderError } from "../driver.ts";
import { codeOf, type Ec2Api } from "./ec2-api.ts";
import { disksOf, findImage, missingImage } from "./images.ts";
import type { Ec2Machine, Ec2Settings } from "./options.ts";
import { runInstancesInput, subnetsInOrder } from "./run-instances.ts";

/** EC2 lets an account order so many instances at once before it throttles, and orders that are only tried count. */
const MAX_TRIES = 5;
/** EC2 answers about so many at once on one page. */
const MAX_NAMES = 100;

/**
 * What keeps machines like these from working, a sentence each: what they name is there and fits together, and EC2 would start and
 * list them. Starts none. Rejects when EC2 does not answer.
 */
export function checkAccount(
  api: Ec2Api,
  settings: Ec2Settings,
  machines: readonly Ec2Machine[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  return new AccountCheck(api, settings, signal).run(machines);
}

type Call<T> = (client: EC2Client, options: { abortSignal: AbortSignal }) => Promise<T>;

class AccountCheck {
  readonly #api: Ec2Api;
  readonly #settings: Ec2Settings;
  readonly #signal: AbortSignal;
  readonly #problems = new Set<string>();

  constructor(api: Ec2Api, settings: Ec2Settings, signal: AbortSignal) {
    this.#api = api;
    this.#settings = settings;
    this.#signal = signal;
  }

  async run(machines: readonly Ec2Machine[]): Promise<readonly string[]> {
    await this.#ask("list of instances", (client, options) =>
      client.send(new DescribeInstancesCommand({ MaxResults: 5 }), options),
    );
    const images = await this.#images(machines);
    await this.#checkTypes(machines, images);
    await this.#checkNetworks(machines);
    if (this.#problems.size === 0) await this.#tryOrders(machines, images);
    return [...this.#problems];
  }

  async #images(machines: readonly Ec2Machine[]): Promise<ReadonlyMap<string, Image>> {
    const images = new Map<string, Image>();
    for (const id of namesIn(machines, ({ image }) => [image])) {
      const image = await this.#refusalAsProblem(findImage(this.#api, id, this.#signal));
      if (image === undefined) break;
      if (image === null) this.#problems.add(missingImage(id));
      else if (image.State !== "available") this.#problems.add(`the image ${id} is ${image.State}, not available`);
      else images.set(id, image);
    }
    return images;
  }

  async #checkTypes(machines: readonly Ec2Machine[], images: ReadonlyMap<string, Image>): Promise<void> {
    const types = await this.#described(
      "instance-type",
      namesIn(machines, ({ instance_type: type }) => [type]),
      async (Filters) => {
        const answer = await this.#ask("look at instance types", (client, options) =>
          client.send(new DescribeInstanceTypesCommand({ Filters, MaxResults: MAX_NAMES }), options),
        );
        return answer?.InstanceTypes?.map(({ InstanceType = "", ProcessorInfo }) => [
          InstanceType,
          ProcessorInfo?.SupportedArchitectures ?? [],
        ]);
      },
    );
    for (const { image = "", instance_type: type = "" } of types === null ? [] : machines) {
      const architectures: readonly string[] | undefined = types?.get(type);
      const needed = images.get(image)?.Architecture;
      if (type !== "" && architectures === undefined) this.#problems.add(`there is no type ${type} in this region`);
      else if (needed !== undefined && architectures?.includes(needed) === false)
        this.#problems.add(`the image ${image} is for ${needed}, and ${type} is ${architectures.join(", ")}`);
    }
  }

  async #checkNetworks(machines: readonly Ec2Machine[]): Promise<void> {
    const subnets = await this.#described(
      "subnet-id",
      namesIn(machines, (machine) => machine.subnets ?? []),
      async (Filters) => {
        const answer = await this.#ask("look at subnets", (client, options) =>
          client.send(new DescribeSubnetsCommand({ Filters, MaxResults: MAX_NAMES }), options),
        );
        return answer?.Subnets?.map(({ SubnetId = "", VpcId = "" }) => [SubnetId, VpcId]);
      },
    );
    const groups = await this.#described(
      "group-id",
      namesIn(machines, (machine) => machine.security_groups ?? []),
      async (Filters) => {
        const answer = await this.#ask("look at security groups", (client, options) =>
          client.send(new DescribeSecurityGroupsCommand({ Filters, MaxResults: MAX_NAMES }), options),
        );
        return answer?.SecurityGroups?.map(({ GroupId = "", VpcId = "" }) => [GroupId, VpcId]);
      },
    );
    if (subnets === null || groups === null) return;
    for (const { subnets: ofSubnets = [], security_groups: ofGroups = [] } of machines) {
      for (const id of ofSubnets) if (!subnets.has(id)) this.#problems.add(`there is no subnet ${id} in this region`);
      for (const id of ofGroups)
        if (!groups.has(id)) this.#problems.add(`there is no security group ${id} in this region`);
      const networks = new Set([...ofSubnets.map((id) => subnets.get(id)), ...ofGroups.map((id) => groups.get(id))]);
      networks.delete(undefined);
      if (networks.size > 1)
        this.#problems.add(
          `${[...ofSubnets, ...ofGroups].join(", ")} are in several networks: ${[...networks].join(", ")}`,
        );
    }
  }

  /** Whether this account may start them, and what else only EC2 knows. */
  async #tryOrders(machines: readonly Ec2Machine[], images: ReadonlyMap<string, Image>): Promise<void> {
    const different = new Map(machines.map((machine) => [JSON.stringify(machine), machine]));
    for (const machine of [...different.values()].slice(0, MAX_TRIES)) {
      const tags = { controller: "check", pool: "check", instance: crypto.randomUUID() };
      const boot = { registrationToken: "check", runnerEnv: {} };
      const request = { name: "shipfox-check", tags, templateKey: "check", machine, boot, maxLifetimeMs: 1_000 };
      const image = images.get(machine.image ?? "");
      const [subnet = null] = subnetsInOrder(machine, tags);
      const input = runInstancesInput(request, this.#settings, { subnet, disks: image ? disksOf(image) : null });
      await this.#ask("try of a start", (client, options) =>
        client.send(new RunInstancesCommand({ ...input, DryRun: true }), options),
      );
    }
  }

  /** By name, those that are there; null when this account may not look. */
  async #described<T>(
    filter: string,
    names: readonly string[],
    describe: (filters: Filter[]) => Promise<(readonly [string, T])[] | undefined>,
  ): Promise<ReadonlyMap<string, T> | null> {
    const found = new Map<string, T>();
    for (let start = 0; start < names.length; start += MAX_NAMES) {
      const page = await describe([{ Name: filter, Values: names.slice(start, start + MAX_NAMES) }]);
      if (page === undefined) return null;
      for (const [name, facts] of page) found.set(name, facts);
    }
    return found;
  }

  #ask<T>(what: string, send: Call<T>): Promise<T | undefined> {
    return this.#refusalAsProblem(this.#api.call(what, { signal: this.#signal }, send));
  }

  /** Undefined when EC2 refused, which is noted. */
  async #refusalAsProblem<T>(call: Promise<T>): Promise<T | undefined> {
    try {
      return await call;
    } catch (error) {
      if (codeOf(error) === "DryRunOperation") return undefined;
      if (!(error instanceof ProviderError) || ["throttled", "unavailable"].includes(error.fault)) throw error;
      this.#problems.add(error.message);
      return undefined;
    }
  }
}

/** Each once. */
function namesIn(
  machines: readonly Ec2Machine[],
  names: (machine: Ec2Machine) => readonly (string | undefined)[],
): readonly string[] {
  return [...new Set(machines.flatMap(names).filter((name) => name !== undefined))];
}
