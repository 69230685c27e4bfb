import { createHash } from "node:crypto";
import type {
  BlockDeviceMapping,
  InstanceNetworkInterfaceSpecification,
  RunInstancesCommandInput,
  Tag,
} from "@aws-sdk/client-ec2";
import type { CreateRequest, InstanceTags } from "../driver.ts";
import { labelsOf, TEMPLATE_LABEL } from "../tag-labels.ts";
import type { Ec2Machine, Ec2Settings } from "./options.ts";
import { userData } from "./user-data.ts";

type Request = CreateRequest<Ec2Machine>;

/** What an image says of its disks. */
export interface ImageDisks {
  readonly rootDevice: string;
  /** Devices of all disks that are made for an instance of it, the root one among them. */
  readonly devices: readonly string[];
}

export interface LaunchPlace {
  /** Null: the launch template says it. */
  readonly subnet: string | null;
  /** Null where a launch template names the image. */
  readonly disks: ImageDisks | null;
}

/**
 * The order for one machine in one subnet. Repeating it repeats its client token, which EC2 answers with the first machine. Whatever
 * a launch template says: its user data and tags are ours, metadata needs a token and is one hop away at most, the machine is gone when
 * it turns itself off, and so are its disks and addresses.
 */
export function runInstancesInput(
  request: Request,
  { tags: further }: Pick<Ec2Settings, "tags">,
  { subnet, disks }: LaunchPlace,
): RunInstancesCommandInput {
  const { machine, tags, name } = request;
  const marks = { ...further, ...labelsOf(tags), [TEMPLATE_LABEL]: request.templateKey, Name: name };
  const Tags: Tag[] = Object.entries(marks).map(([Key, Value]) => ({ Key, Value }));
  return {
    ...launched(machine),
    ...market(machine),
    ...(machine.key_name === undefined ? {} : { KeyName: machine.key_name }),
    ...(machine.instance_profile === undefined ? {} : { IamInstanceProfile: { Name: machine.instance_profile } }),
    ...(subnet === null ? {} : { NetworkInterfaces: [networkInterface(machine, subnet)] }),
    ...(disks === null ? {} : { BlockDeviceMappings: blockDevices(machine, disks) }),
    MinCount: 1,
    MaxCount: 1,
    ClientToken: clientToken(tags, subnet),
    TagSpecifications: (["instance", "volume", "network-interface"] as const).map((ResourceType) => ({
      ResourceType,
      Tags,
    })),
    MetadataOptions: {
      HttpEndpoint: "enabled",
      HttpTokens: "required",
      HttpPutResponseHopLimit: 1,
      HttpProtocolIpv6: "disabled",
      InstanceMetadataTags: "disabled",
    },
    InstanceInitiatedShutdownBehavior: "terminate",
    UserData: userData(request),
  };
}

/**
 * Where to try, in order: all subnets of the machine, from one on that its instance's id picks, so that machines are spread and a
 * repeated creation begins where the first did.
 */
export function subnetsInOrder({ subnets }: Ec2Machine, { instance }: InstanceTags): readonly (string | null)[] {
  if (subnets === undefined) return [null];
  const first = createHash("sha256").update(instance).digest().readUInt32BE() % subnets.length;
  return [...subnets.slice(first), ...subnets.slice(0, first)];
}

/** 64 hexadecimal digits, as many as EC2 takes. An order for another subnet is another order, and needs another token. */
function clientToken({ controller, pool, instance }: InstanceTags, subnet: string | null): string {
  return createHash("sha256")
    .update(JSON.stringify([controller, pool, instance, subnet]))
    .digest("hex");
}

function launched({ image, instance_type: type, launch_template: template }: Ec2Machine) {
  return {
    ...(image === undefined ? {} : { ImageId: image }),
    ...(type === undefined ? {} : { InstanceType: type as NonNullable<RunInstancesCommandInput["InstanceType"]> }),
    ...(template === undefined
      ? {}
      : {
          LaunchTemplate: {
            ...(template.id === undefined ? { LaunchTemplateName: template.name } : { LaunchTemplateId: template.id }),
            Version: template.version,
          },
        }),
  };
}

function market({ market: kind, spot_max_price: price }: Ec2Machine): Partial<RunInstancesCommandInput> {
  if (kind !== "spot") return {};
  const options = { SpotInstanceType: "one-time", InstanceInterruptionBehavior: "terminate" } as const;
  const SpotOptions = price === undefined ? options : { ...options, MaxPrice: String(price) };
  return { InstanceMarketOptions: { MarketType: "spot", SpotOptions } };
}

function networkInterface(machine: Ec2Machine, subnet: string): InstanceNetworkInterfaceSpecification {
  return {
    DeviceIndex: 0,
    SubnetId: subnet,
    Groups: machine.security_groups,
    DeleteOnTermination: true,
    ...(machine.public_ip === undefined ? {} : { AssociatePublicIpAddress: machine.public_ip }),
  };
}

function blockDevices(machine: Ec2Machine, { rootDevice, devices }: ImageDisks): BlockDeviceMapping[] {
  const { root_volume_gib: size, root_volume_type: type } = machine;
  const root = {
    ...(size === undefined ? {} : { VolumeSize: size }),
    ...(type === undefined ? {} : { VolumeType: type }),
  };
  return devices.map((DeviceName) => ({
    DeviceName,
    Ebs: { DeleteOnTermination: true, ...(DeviceName === rootDevice ? root : {}) },
  }));
}
