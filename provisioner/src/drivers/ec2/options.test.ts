import { describe, expect, it } from "vitest";
import { ec2MachineSchema, ec2SettingsSchema } from "./options.ts";

const AMI = "ami-0123456789abcdef0";
const SUBNET = "subnet-0123456789abcdef0";
const GROUP = "sg-0123456789abcdef0";
const WHOLE = { image: AMI, instance_type: "m7i.large", subnets: [SUBNET], security_groups: [GROUP] };
const TEMPLATE = { launch_template: { name: "runners" } };

describe("the settings of EC2", () => {
  it.each(["eu-central-1", "us-gov-west-1", "ap-southeast-10"])("know the region %s", (region) => {
    expect(ec2SettingsSchema.parse({ region })).toEqual({ region, tags: {} });
  });

  it.each([
    [{}, "region"],
    [{ region: "Frankfurt" }, "expected the name of a region"],
    [{ region: "eu-central-1", endpoint: "http://vpce.example.com" }, "expected https"],
    [{ region: "eu-central-1", endpoint: "ftp://127.0.0.1" }, "expected the address of an EC2 API"],
    [{ region: "eu-central-1", secret_access_key: "x" }, "secret_access_key"],
    [{ region: "eu-central-1", tags: { "io.shipfox.provisioner.pool": "x" } }, "neither Name nor aws's"],
    [{ region: "eu-central-1", tags: { "aws:x": "x" } }, "neither Name nor aws's"],
    [{ region: "eu-central-1", tags: { Name: "x" } }, "neither Name nor aws's"],
  ])("are refused in words: %j", (settings, said) => {
    expect(JSON.stringify(ec2SettingsSchema.safeParse(settings).error)).toContain(said);
  });
});

describe("a machine of EC2", () => {
  it.each([
    WHOLE,
    { ...WHOLE, market: "spot", spot_max_price: 0.1, public_ip: true, root_volume_gib: 40, root_volume_type: "gp3" },
    TEMPLATE,
    { ...TEMPLATE, instance_type: "m7g.large", subnets: [SUBNET], security_groups: [GROUP], public_ip: false },
  ])("may be %j", (machine) => {
    expect(ec2MachineSchema.safeParse(machine).error).toBeUndefined();
  });

  it.each([
    [{}, "expected an image or a launch_template"],
    [{ image: AMI }, "expected instance_type beside an image"],
    [{ ...WHOLE, subnets: undefined }, "expected subnets beside an image"],
    [{ ...WHOLE, security_groups: undefined }, "expected security_groups beside an image"],
    [{ ...WHOLE, subnets: [SUBNET, SUBNET] }, "expected each subnet once"],
    [{ ...WHOLE, image: "debian-13" }, "expected an id such as ami-"],
    [{ ...WHOLE, instance_type: "large" }, "expected a type such as m7i.large"],
    [{ ...WHOLE, spot_max_price: 1 }, "a price goes with market: spot"],
    [{ ...WHOLE, user_data: "x" }, "user_data"],
    [{ ...TEMPLATE, image: AMI }, "the launch_template says this"],
    [{ ...TEMPLATE, root_volume_gib: 40 }, "the launch_template says this"],
    [{ ...TEMPLATE, subnets: [SUBNET] }, "subnets and security_groups go together"],
    [{ ...TEMPLATE, public_ip: true }, "public_ip goes with subnets"],
    [{ launch_template: {} }, "expected either an id or a name"],
    [{ launch_template: { id: "lt-0123456789abcdef0", name: "runners" } }, "expected either an id or a name"],
    [{ launch_template: { name: "runners", version: "newest" } }, "expected a version such as"],
  ])("may not be %j", (machine, said) => {
    expect(JSON.stringify(ec2MachineSchema.safeParse(machine).error?.issues)).toContain(said);
  });
});
