import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import type { InstanceTags } from "../driver.ts";
import {
  ApiFault,
  checkSignature,
  faultXml,
  type Key,
  membersAt,
  type Params,
  parseParams,
  replyXml,
  textAt,
  textsAt,
  type Xml,
} from "./query-protocol.fixture.ts";

const MAX_USER_DATA_BYTES = 16_384;
const VERSION = "2016-11-15";
const TAG = "io.shipfox.provisioner";
export const REGION = "eu-test-1";

export const IMAGES = {
  stay: "ami-000000000000000a1",
  /** Its machines print more than a console may show, and turn themselves off. */
  chatty: "ami-000000000000000a2",
  arm: "ami-000000000000000a3",
  missing: "ami-0000000000000ffff",
} as const;
export const SUBNETS = ["subnet-000000000000000a1", "subnet-000000000000000b1", "subnet-000000000000000c1"] as const;
export const GROUP = "sg-000000000000000a1";
export const FOREIGN_GROUP = "sg-000000000000000f1";
export const LAUNCH_TEMPLATE = { id: "lt-000000000000000a1", name: "runners" } as const;

const ARCHITECTURES: Readonly<Record<string, string>> = {
  [IMAGES.stay]: "x86_64",
  [IMAGES.chatty]: "x86_64",
  [IMAGES.arm]: "arm64",
};
const TYPES: Readonly<Record<string, string>> = { "m7i.large": "x86_64", "t2.small": "x86_64", "m7g.large": "arm64" };
const NETWORKS: Readonly<Record<string, string>> = {
  ...Object.fromEntries([...SUBNETS, GROUP].map((id) => [id, "vpc-1"])),
  [FOREIGN_GROUP]: "vpc-2",
};

interface TestInstance {
  readonly id: string;
  readonly image: string;
  readonly type: string;
  readonly subnet: string;
  readonly tags: ReadonlyMap<string, string>;
  /** As they came, for tests that look. */
  readonly params: Params;
  /** Disks and network interfaces that go with it, with their tags. */
  parts: { readonly kind: string; readonly tags: ReadonlyMap<string, string> }[];
  state: "pending" | "running" | "shutting-down" | "terminated";
  reason: string | undefined;
  /** So many looks do not see it yet. */
  hiddenFor: number;
}

/** A region of EC2 with one account, in this process: it speaks the Query API on loopback, signed requests in and XML out. */
export class TestRegion {
  readonly key: Key = { id: "AKIATESTTESTTESTTEST", secret: crypto.randomUUID() };
  readonly instances: TestInstance[] = [];
  /** Every request that was signed right, in order. */
  readonly calls: { readonly action: string; readonly params: Params }[] = [];
  /** Answered instead of the result by the next calls of an action, one each. */
  readonly faults: { readonly action: string; readonly fault: ApiFault }[] = [];
  /** Answered for each machine in a subnet. */
  readonly faultOfSubnet = new Map<string, ApiFault>();
  /** What the account may not do. */
  readonly denied = new Set<string>();
  /** What is done, and never answered. */
  readonly silent = new Set<string>();
  /** So many of the next starts happen, and their answer is lost. */
  lostAnswers = 0;
  /** So many looks do not see a new instance. */
  listLag = 0;
  pageSize = 2;
  readonly #orders = new Map<string, { readonly order: string; readonly instance: TestInstance }>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  #made = 0;

  static async start(): Promise<TestRegion> {
    const region = new TestRegion();
    region.#server.listen(0, "127.0.0.1");
    await once(region.#server, "listening");
    return region;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Lists of it break off after their first page. */
  get breakingEndpoint(): string {
    return `${this.endpoint}/breaking`;
  }

  callsOf(action: string): Params[] {
    return this.calls.filter((call) => call.action === action).map(({ params }) => params);
  }

  /** What costs money, a line each. */
  inventory(): string[] {
    const alive = this.instances.filter(({ state }) => state === "pending" || state === "running");
    return alive.flatMap(({ id, parts }) => [id, ...parts.map(({ kind }) => `${kind} of ${id}`)]);
  }

  /** A running instance that somebody else started. */
  plant(name: string, tags: Partial<InstanceTags>) {
    const marks = new Map([
      ["Name", name],
      ...Object.entries(tags).map(([key, value]) => [`${TAG}.${key}`, value] as const),
    ]);
    const instance = this.#add({ image: IMAGES.stay, type: "m7i.large", subnet: SUBNETS[0], tags: marks, params: {} });
    instance.state = "running";
    instance.hiddenFor = 0;
    return {
      providerId: instance.id,
      exists: async () => instance.state === "running",
      remove: async () => {
        instance.state = "terminated";
        instance.parts = [];
      },
    };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    const params = parseParams(body.toString("utf8"));
    const action = textAt(params, "Action") ?? "";
    try {
      checkSignature(request, body, this.key, REGION);
      if (textAt(params, "Version") !== VERSION) throw new ApiFault("InvalidParameterValue", "an unknown version");
      this.calls.push({ action, params });
      const next = this.faults.find((planned) => planned.action === action);
      if (next !== undefined) {
        this.faults.splice(this.faults.indexOf(next), 1);
        throw next.fault;
      }
      if (this.denied.has(action))
        throw new ApiFault("UnauthorizedOperation", `You are not authorized to perform ec2:${action}`, 403);
      const isBreaking = request.url?.startsWith("/breaking") === true && textAt(params, "NextToken") !== undefined;
      const text = replyXml(action, this.#perform(action, params));
      if (this.silent.has(action)) return;
      if (action === "RunInstances" && this.lostAnswers > 0) {
        this.lostAnswers -= 1;
        response.destroy();
        return;
      }
      response.writeHead(200, { "content-type": "text/xml;charset=UTF-8", "content-length": Buffer.byteLength(text) });
      if (isBreaking) response.write(text.slice(0, 200), () => response.destroy());
      else response.end(text);
    } catch (error) {
      const fault = error instanceof ApiFault ? error : new ApiFault("InternalError", String(error), 500);
      response.writeHead(fault.status, { "content-type": "text/xml;charset=UTF-8" }).end(faultXml(fault));
    }
  }

  #perform(action: string, params: Params): { readonly [name: string]: Xml } {
    switch (action) {
      case "RunInstances":
        return this.#run(params);
      case "DescribeInstances":
        return this.#describe(params);
      case "TerminateInstances":
        return this.#terminate(params);
      case "GetConsoleOutput":
        return this.#console(params);
      case "DescribeImages":
        return { imagesSet: textsAt(params, "ImageId").map(imageXml) };
      case "DescribeInstanceTypes":
        return {
          instanceTypeSet: named(params, "instance-type", TYPES).map(([instanceType, architecture]) => ({
            instanceType,
            processorInfo: { supportedArchitectures: [architecture] },
          })),
        };
      case "DescribeSubnets":
        return { subnetSet: named(params, "subnet-id", NETWORKS).map(([subnetId, vpcId]) => ({ subnetId, vpcId })) };
      case "DescribeSecurityGroups":
        return {
          securityGroupInfo: named(params, "group-id", NETWORKS).map(([groupId, vpcId]) => ({ groupId, vpcId })),
        };
      default:
        throw new ApiFault("InvalidAction", `The action ${action} is not valid for this web service.`);
    }
  }

  #run(params: Params): { readonly [name: string]: Xml } {
    const { image, type, subnet } = orderOf(params);
    const userData = Buffer.from(textAt(params, "UserData") ?? "", "base64");
    if (userData.length > MAX_USER_DATA_BYTES)
      throw new ApiFault("InvalidUserData", "User data is limited to 16384 bytes");
    if (textAt(params, "DryRun") === "true")
      throw new ApiFault("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412);
    const token = textAt(params, "ClientToken") ?? "";
    if (!/^[\x20-\x7e]{1,64}$/.test(token)) throw new ApiFault("InvalidParameterValue", "ClientToken is not valid");
    const order = JSON.stringify(params);
    const former = this.#orders.get(token);
    if (former !== undefined) {
      if (former.order !== order)
        throw new ApiFault("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent");
      return { instancesSet: [instanceXml(former.instance)] };
    }
    const fault = this.faultOfSubnet.get(subnet);
    if (fault !== undefined) throw fault;
    const instance = this.#add({ image, type, subnet, tags: tagsFor(params, "instance"), params });
    this.#orders.set(token, { order, instance });
    return { instancesSet: [instanceXml(instance)] };
  }

  #add(made: Pick<TestInstance, "image" | "type" | "subnet" | "tags" | "params">): TestInstance {
    this.#made += 1;
    const parts = ["volume", "network-interface"].map((kind) => ({ kind, tags: tagsFor(made.params, kind) }));
    const id = `i-${String(this.#made).padStart(17, "0")}`;
    const instance: TestInstance = { ...made, id, parts, state: "pending", reason: undefined, hiddenFor: this.listLag };
    this.instances.push(instance);
    return instance;
  }

  #describe(params: Params): { readonly [name: string]: Xml } {
    const seen = this.instances.filter((instance) => instance.hiddenFor-- <= 0);
    const ids = textsAt(params, "InstanceId");
    for (const id of ids)
      if (!seen.some((instance) => instance.id === id))
        throw new ApiFault("InvalidInstanceID.NotFound", `The instance ID '${id}' does not exist`);
    const filters = filtersIn(params);
    const found = seen.filter(
      ({ id, tags }) =>
        (ids.length === 0 || ids.includes(id)) &&
        filters.every(({ name, values }) => name.startsWith("tag:") && values.includes(tags.get(name.slice(4)) ?? "")),
    );
    const from = Number(textAt(params, "NextToken") ?? 0);
    const size = Math.min(this.pageSize, Number(textAt(params, "MaxResults") ?? this.pageSize));
    const page = found.slice(from, from + size);
    const reservationSet = page.map((instance) => ({ instancesSet: [instanceXml(instance)] }));
    for (const instance of page) goOn(instance);
    return { reservationSet, nextToken: from + size < found.length ? String(from + size) : undefined };
  }

  #terminate(params: Params): { readonly [name: string]: Xml } {
    const ended = textsAt(params, "InstanceId").map((id) => this.#find(id));
    for (const instance of ended) {
      if (instance.state !== "terminated") instance.state = "shutting-down";
      instance.parts = [];
    }
    return { instancesSet: ended.map(({ id, state }) => ({ instanceId: id, currentState: { name: state } })) };
  }

  #console(params: Params): { readonly [name: string]: Xml } {
    const { id, image, type } = this.#find(textAt(params, "InstanceId") ?? "");
    if (textAt(params, "Latest") === "true" && type.startsWith("t2."))
      throw new ApiFault("UnsupportedOperation", "The latest console output is not supported for this instance type");
    const printed = image === IMAGES.chatty ? `${"what nobody reads\r\n".repeat(2_000)}the end\r\n` : "";
    return { instanceId: id, output: Buffer.from(printed).toString("base64") };
  }

  #find(id: string): TestInstance {
    const instance = this.instances.find((one) => one.id === id);
    if (instance !== undefined) return instance;
    throw new ApiFault("InvalidInstanceID.NotFound", `The instance ID '${id}' does not exist`);
  }
}

/** What becomes of an instance from one look to the next. */
function goOn(instance: TestInstance): void {
  if (instance.state === "pending") instance.state = "running";
  else if (instance.state === "shutting-down") instance.state = "terminated";
  else if (instance.image === IMAGES.chatty) {
    instance.state = "terminated";
    instance.reason = "Client.InstanceInitiatedShutdown: Instance initiated shutdown";
    instance.parts = [];
  }
}

/** What an order comes to with what its launch template says; refused when something in it is not there. */
function orderOf(params: Params): { image: string; type: string; subnet: string } {
  const template =
    textAt(params, "LaunchTemplate", "LaunchTemplateId") ?? textAt(params, "LaunchTemplate", "LaunchTemplateName");
  if (template !== undefined && template !== LAUNCH_TEMPLATE.id && template !== LAUNCH_TEMPLATE.name)
    throw new ApiFault("InvalidLaunchTemplateId.NotFound", "The specified launch template does not exist");
  const [network = {}] = membersAt(params, "NetworkInterface");
  const image = textAt(params, "ImageId") ?? (template && IMAGES.stay) ?? "";
  const type = textAt(params, "InstanceType") ?? (template && "m7i.large") ?? "";
  const subnet = textAt(network, "SubnetId") ?? SUBNETS[0];
  imageXml(image);
  if (TYPES[type] === undefined)
    throw new ApiFault("InvalidParameterValue", `Invalid value '${type}' for InstanceType.`);
  if (TYPES[type] !== ARCHITECTURES[image])
    throw new ApiFault("InvalidParameterValue", "The architecture of the instance type does not match that of the AMI");
  if (NETWORKS[subnet] === undefined)
    throw new ApiFault("InvalidSubnetID.NotFound", `The subnet '${subnet}' does not exist`);
  for (const group of textsAt(network, "SecurityGroupId"))
    if (NETWORKS[group] !== NETWORKS[subnet]) throw new ApiFault("InvalidGroup.NotFound", `${group} does not exist`);
  return { image, type, subnet };
}

function imageXml(id: string): Xml {
  const architecture = ARCHITECTURES[id];
  if (architecture === undefined) throw new ApiFault("InvalidAMIID.NotFound", `The image id '[${id}]' does not exist`);
  const blockDeviceMapping = [
    { deviceName: "/dev/xvda", ebs: { volumeSize: 8, deleteOnTermination: true } },
    { deviceName: "/dev/xvdb", ebs: { volumeSize: 20, deleteOnTermination: false } },
    { deviceName: "/dev/sdc", virtualName: "ephemeral0" },
  ];
  return { imageId: id, imageState: "available", architecture, rootDeviceName: "/dev/xvda", blockDeviceMapping };
}

function instanceXml({ id, image, state, reason, tags }: TestInstance): Xml {
  return {
    instanceId: id,
    imageId: image,
    instanceState: { name: state },
    stateReason: reason === undefined ? undefined : { code: reason.split(":")[0], message: reason },
    tagSet: [...tags].map(([key, value]) => ({ key, value })),
  };
}

function tagsFor(params: Params, kind: string): ReadonlyMap<string, string> {
  const specification = membersAt(params, "TagSpecification").find((one) => textAt(one, "ResourceType") === kind);
  const tags = specification === undefined ? [] : membersAt(specification, "Tag");
  return new Map(tags.map((tag) => [textAt(tag, "Key") ?? "", textAt(tag, "Value") ?? ""]));
}

function filtersIn(params: Params): { name: string; values: string[] }[] {
  return membersAt(params, "Filter").map((filter) => ({
    name: textAt(filter, "Name") ?? "",
    values: textsAt(filter, "Value"),
  }));
}

/** Those of a record that the filter of this name names. */
function named(params: Params, filter: string, all: Readonly<Record<string, string>>): [string, string][] {
  const [only, ...others] = filtersIn(params);
  if (only?.name !== filter || others.length > 0) throw new ApiFault("InvalidParameterValue", "an unknown filter");
  return Object.entries(all).filter(([name]) => only.values.includes(name));
}
