import { z } from "zod";
import { isLoopback } from "../loopback.ts";

const MAX_TEXT_CHARS = 4_096;
const MAX_PRICE = 10_000;
const MAX_VOLUME_GIB = 64 * 1024;
const MAX_SUBNETS = 16;
/** EC2's own limit for one network interface. */
const MAX_GROUPS = 16;
/** EC2 takes 50 for a resource; some are ours. */
const MAX_TAGS = 32;
const MAX_TAG_VALUE_CHARS = 256;

const path = z.string().min(1).max(MAX_TEXT_CHARS);

function idOf(kind: string, example: string) {
  return z.string().regex(new RegExp(`^${kind}-[0-9a-f]{8,17}$`), `expected an id such as ${example}`);
}

const uniqueItems = (items: readonly string[]) => new Set(items).size === items.length;

export const ec2SettingsSchema = z.strictObject({
  region: z.string().regex(/^[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}$/, "expected the name of a region, such as eu-central-1"),
  /** Another address of EC2's API, such as that of a VPC endpoint. */
  endpoint: z
    .url({ protocol: /^https?$/, error: "expected the address of an EC2 API" })
    .refine((url) => url.startsWith("https:") || isLoopback(url), "expected https: what is sent there is secret")
    .optional(),
  /** In the format of the AWS tools; without it their usual places are asked: environment, files, role of the instance. */
  credentials_file: path.optional(),
  profile: z
    .string()
    .regex(/^[\w.@+-]{1,128}$/, "expected the name of a profile")
    .optional(),
  /** Further tags of machines, disks and network interfaces, for people. */
  tags: z
    .record(
      z
        .string()
        .regex(
          /^(?!aws:|io\.shipfox\.|Name$)[\w .:/=+@-]{1,128}$/,
          "expected a tag that is neither Name nor aws's nor io.shipfox's",
        ),
      z.string().max(MAX_TAG_VALUE_CHARS),
    )
    .refine((tags) => Object.keys(tags).length <= MAX_TAGS, `expected at most ${MAX_TAGS} tags`)
    .default({}),
});
export type Ec2Settings = z.infer<typeof ec2SettingsSchema>;

const launchTemplate = z
  .strictObject({
    id: idOf("lt", "lt-0abc1234def567890").optional(),
    name: z
      .string()
      .regex(/^[\w().\-/]{3,128}$/, "expected the name of a launch template")
      .optional(),
    /** A number, `$Latest` or `$Default`. */
    version: z
      .string()
      .regex(/^(?:[1-9]\d{0,8}|\$Latest|\$Default)$/, 'expected a version such as "3", $Latest or $Default')
      .default("$Default"),
  })
  .refine(({ id, name }) => (id === undefined) !== (name === undefined), "expected either an id or a name");

export const ec2MachineSchema = z
  .strictObject({
    image: idOf("ami", "ami-0abc1234def567890").optional(),
    instance_type: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,31}\.[a-z0-9-]{1,31}$/, "expected a type such as m7i.large")
      .optional(),
    /** Says all that the other keys say, which then are optional and come first. */
    launch_template: launchTemplate.optional(),
    market: z.enum(["on-demand", "spot"]).optional(),
    /** Dollars an hour; by default what the same instance costs on demand. */
    spot_max_price: z.number().positive().max(MAX_PRICE).optional(),
    /** Machines are spread over them; where one has no room, the next is tried. */
    subnets: z
      .array(idOf("subnet", "subnet-0abc1234def567890"))
      .min(1)
      .max(MAX_SUBNETS)
      .refine(uniqueItems, "expected each subnet once")
      .optional(),
    security_groups: z
      .array(idOf("sg", "sg-0abc1234def567890"))
      .min(1)
      .max(MAX_GROUPS)
      .refine(uniqueItems, "expected each group once")
      .optional(),
    /** By default as the subnet says. */
    public_ip: z.boolean().optional(),
    /** An SSH key for people. */
    key_name: z
      .string()
      .regex(/^[\x20-\x7e]{1,255}$/, "expected the name of a key pair")
      .optional(),
    /** Whatever runs as root in the machine has its rights. */
    instance_profile: z
      .string()
      .regex(/^[\w+=,.@-]{1,128}$/, "expected the name of an instance profile")
      .optional(),
    root_volume_gib: z.int().min(1).max(MAX_VOLUME_GIB).optional(),
    root_volume_type: z.enum(["gp3", "gp2", "io1", "io2", "standard"]).optional(),
  })
  .superRefine((machine, context) => {
    const refuse = (key: keyof typeof machine, message: string) =>
      context.addIssue({ code: "custom", path: [key], message });
    if (machine.launch_template === undefined) {
      if (machine.image === undefined) return refuse("image", "expected an image or a launch_template");
      for (const key of ["instance_type", "subnets", "security_groups"] as const)
        if (machine[key] === undefined) refuse(key, `expected ${key} beside an image`);
    } else {
      for (const key of ["image", "root_volume_gib", "root_volume_type"] as const)
        if (machine[key] !== undefined) refuse(key, "the launch_template says this");
      // A network interface without groups would get the default one of its network.
      if ((machine.subnets === undefined) !== (machine.security_groups === undefined))
        refuse(
          machine.subnets === undefined ? "subnets" : "security_groups",
          "subnets and security_groups go together",
        );
      if (machine.public_ip !== undefined && machine.subnets === undefined)
        refuse("public_ip", "public_ip goes with subnets");
    }
    if (machine.spot_max_price !== undefined && machine.market !== "spot")
      refuse("spot_max_price", "a price goes with market: spot");
  });
export type Ec2Machine = z.infer<typeof ec2MachineSchema>;
