import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type CreateRequest, type Provider, ProviderError } from "../driver.ts";
import { ec2Driver } from "./ec2-driver.ts";
import { machineOf, OpenRegion } from "./open-region.fixture.ts";
import type { Ec2Machine } from "./options.ts";
import { ApiFault, membersAt, textAt, textsAt } from "./query-protocol.fixture.ts";
import { FOREIGN_GROUP, GROUP, IMAGES, LAUNCH_TEMPLATE, SUBNETS, type TestRegion } from "./test-region.fixture.ts";

const { signal } = new AbortController();
const OWNER = { controller: "0197-controller", pool: "main" };
const TOKEN = "sf_ert_only-its-runner-may-read-this";
const NO_ROOM = new ApiFault("InsufficientInstanceCapacity", "We currently do not have sufficient capacity", 500);

describe("an instance", () => {
  let opened: OpenRegion;
  let region: TestRegion;
  let provider: Provider<Ec2Machine>;
  let made = 0;

  beforeEach(async () => {
    opened = await OpenRegion.start();
    onTestFinished(() => opened.close());
    ({ region } = opened);
    provider = await opened.open();
  });

  function order(options: Partial<CreateRequest<Ec2Machine>> = {}): CreateRequest<Ec2Machine> {
    made += 1;
    return {
      name: `shipfox-${made}`,
      tags: { ...OWNER, instance: `instance-${made}` },
      templateKey: "small",
      machine: machineOf(),
      boot: { registrationToken: TOKEN, runnerEnv: { SHIPFOX_API_URL: "https://ci.example.com" } },
      maxLifetimeMs: 3_600_000,
      ...options,
    };
  }

  const orders = () => region.callsOf("RunInstances");
  const subnetsAsked = () =>
    orders().map((params) => textAt(membersAt(params, "NetworkInterface")[0] ?? {}, "SubnetId"));
  const rejection = (call: Promise<unknown>) =>
    call.then(
      () => Promise.reject(new Error("it was resolved")),
      (error: unknown) => error as ProviderError,
    );

  it("is ordered with its tags on it and on all its parts, metadata by token and one hop, and an end at power off", async () => {
    provider = await opened.open({ tags: { team: "build <&>" } });
    const request = order({
      machine: machineOf({ root_volume_gib: 40, root_volume_type: "gp3", key_name: "people", public_ip: false }),
    });
    await provider.create(request, signal);
    const [params = {}] = orders();
    const tags = {
      "io.shipfox.provisioner.controller": OWNER.controller,
      "io.shipfox.provisioner.pool": OWNER.pool,
      "io.shipfox.provisioner.instance": request.tags.instance,
      "io.shipfox.provisioner.template": "small",
      Name: request.name,
      team: "build <&>",
    };
    const [instance] = region.instances;
    expect(Object.fromEntries(instance?.tags ?? [])).toEqual(tags);
    expect(instance?.parts.map((part) => [part.kind, Object.fromEntries(part.tags)])).toEqual([
      ["volume", tags],
      ["network-interface", tags],
    ]);
    expect(params).toMatchObject({
      ImageId: IMAGES.stay,
      InstanceType: "m7i.large",
      MinCount: "1",
      MaxCount: "1",
      KeyName: "people",
      InstanceInitiatedShutdownBehavior: "terminate",
      MetadataOptions: { HttpTokens: "required", HttpPutResponseHopLimit: "1", HttpProtocolIpv6: "disabled" },
    });
    expect(params).not.toHaveProperty("IamInstanceProfile");
    expect(params).not.toHaveProperty("InstanceMarketOptions");
    const [network = {}] = membersAt(params, "NetworkInterface");
    expect(network).toMatchObject({
      SubnetId: SUBNETS[0],
      DeleteOnTermination: "true",
      AssociatePublicIpAddress: "false",
    });
    expect(textsAt(network, "SecurityGroupId")).toEqual([GROUP]);
    // Also the disk that its image would have left behind.
    expect(membersAt(params, "BlockDeviceMapping")).toEqual([
      { DeviceName: "/dev/xvda", Ebs: { DeleteOnTermination: "true", VolumeSize: "40", VolumeType: "gp3" } },
      { DeviceName: "/dev/xvdb", Ebs: { DeleteOnTermination: "true" } },
    ]);
  });

  it("gets the token in its user data alone", async () => {
    await provider.create(order(), signal);
    const [params = {}] = orders();
    const userData = textAt(params, "UserData") ?? "";
    expect(JSON.stringify({ ...params, UserData: "" })).not.toContain(TOKEN);
    const encoded = Buffer.from(`${TOKEN}\n`).toString("base64");
    expect(Buffer.from(userData, "base64").toString("utf8")).toContain(encoded);
  });

  it("of the spot market is ordered once, and never comes back after its interruption", async () => {
    await provider.create(order({ machine: machineOf({ market: "spot", spot_max_price: 0.25 }) }), signal);
    expect(orders()[0]?.["InstanceMarketOptions"]).toEqual({
      MarketType: "spot",
      SpotOptions: { SpotInstanceType: "one-time", InstanceInterruptionBehavior: "terminate", MaxPrice: "0.25" },
    });
  });

  it.each([
    [
      { id: LAUNCH_TEMPLATE.id, version: "3" },
      { LaunchTemplateId: LAUNCH_TEMPLATE.id, Version: "3" },
    ],
    [{ name: LAUNCH_TEMPLATE.name }, { LaunchTemplateName: LAUNCH_TEMPLATE.name, Version: "$Default" }],
  ])("is made from the launch template %j, which says all that is not ours", async (template, sent) => {
    const of = ec2Driver.machineSchema.parse({ launch_template: template });
    expect(await provider.check([of], signal)).toEqual([]);
    await provider.create(order({ machine: of }), signal);
    const params = orders().at(-1) ?? {};
    expect(params["LaunchTemplate"]).toEqual(sent);
    for (const key of ["ImageId", "InstanceType", "NetworkInterface", "BlockDeviceMapping"])
      expect(params).not.toHaveProperty(key);
    expect(params).toMatchObject({
      InstanceInitiatedShutdownBehavior: "terminate",
      MetadataOptions: { HttpTokens: "required" },
    });
  });

  it("is spread over its subnets", async () => {
    for (let one = 0; one < 24; one++)
      await provider.create(order({ machine: machineOf({ subnets: SUBNETS }) }), signal);
    expect(new Set(subnetsAsked())).toEqual(new Set(SUBNETS));
  });

  it("goes to the next subnet where one has no room for it or no such type, each with a token of its own", async () => {
    region.faultOfSubnet.set(SUBNETS[0], NO_ROOM);
    region.faultOfSubnet.set(
      SUBNETS[1],
      new ApiFault("Unsupported", "Your requested instance type is not supported in your zone"),
    );
    const request = order({ machine: machineOf({ subnets: SUBNETS }) });
    const { providerId } = await provider.create(request, signal);
    expect(region.instances).toMatchObject([{ id: providerId, subnet: SUBNETS[2] }]);
    const tokens = orders().map(({ ClientToken }) => ClientToken);
    expect(new Set(tokens).size).toBe(tokens.length);
    for (const token of tokens) expect(token).toMatch(/^[0-9a-f]{64}$/);
  });

  it("is made once when its first subnet has room again by the time it is asked for a second time", async () => {
    const request = order({ machine: machineOf({ subnets: SUBNETS }) });
    region.listLag = 2;
    for (const subnet of SUBNETS.slice(0, 2)) region.faultOfSubnet.set(subnet, NO_ROOM);
    const first = await provider.create(request, signal);
    region.faultOfSubnet.clear();
    // By the same provisioner while no list shows it, by another one when lists do.
    expect(await provider.create(request, signal)).toEqual(first);
    await expect.poll(() => provider.list(OWNER, signal)).toHaveLength(1);
    const another = await opened.open();
    expect(await another.create(request, signal)).toEqual(first);
    expect(region.instances).toHaveLength(1);
  });

  it("says that there is no room when no subnet has any, whatever else they say", async () => {
    for (const subnet of SUBNETS) region.faultOfSubnet.set(subnet, new ApiFault("Unsupported", "not in this zone"));
    const request = { machine: machineOf({ subnets: SUBNETS }) };
    expect(await rejection(provider.create(order(request), signal))).toMatchObject({ fault: "refused" });
    region.faultOfSubnet.set(SUBNETS[1], NO_ROOM);
    const error = await rejection(provider.create(order(request), signal));
    expect(error).toMatchObject({ fault: "no_capacity", mayHaveHappened: false });
    expect(subnetsAsked()).toHaveLength(6);
  });

  it("that was made although its answer was lost is found by its tags, and answered when it is asked for again", async () => {
    region.lostAnswers = 1;
    const request = order();
    const error = await rejection(provider.create(request, signal));
    expect(error).toMatchObject({ fault: "unavailable", mayHaveHappened: true });
    expect(await provider.list(OWNER, signal)).toMatchObject([{ tags: request.tags }]);
    const { providerId } = await provider.create(request, signal);
    expect(region.instances).toMatchObject([{ id: providerId }]);
  });

  it("that was made by another order is answered too; while no list shows it, nobody says that it is not there", async () => {
    region.lostAnswers = 1;
    region.listLag = 1;
    const request = order();
    await rejection(provider.create(request, signal));
    const again = { ...request, boot: { ...request.boot, registrationToken: "sf_ert_another" } };
    const unsure = await rejection(provider.create(again, signal));
    expect(unsure).toMatchObject({ fault: "unavailable", mayHaveHappened: true });
    const { providerId } = await provider.create(again, signal);
    expect(region.instances).toMatchObject([{ id: providerId }]);
  });

  it.each([
    ["RequestLimitExceeded", 503, "throttled"],
    ["Throttling", 400, "throttled"],
    ["InsufficientInstanceCapacity", 500, "no_capacity"],
    ["InsufficientFreeAddressesInSubnet", 400, "no_capacity"],
    ["UnfulfillableCapacity", 500, "no_capacity"],
    ["SpotMaxPriceTooLow", 400, "no_capacity"],
    ["InstanceLimitExceeded", 400, "quota"],
    ["VcpuLimitExceeded", 400, "quota"],
    ["MaxSpotInstanceCountExceeded", 400, "quota"],
    ["VolumeLimitExceeded", 400, "quota"],
    ["UnauthorizedOperation", 403, "refused"],
    ["AuthFailure", 401, "refused"],
    ["InvalidParameterValue", 400, "refused"],
    ["OptInRequired", 401, "refused"],
    ["InternalError", 500, "unavailable"],
    ["Unavailable", 503, "unavailable"],
  ])("whose order EC2 answers with %s (%i) was %s", async (code, status, fault) => {
    region.faults.push({ action: "RunInstances", fault: new ApiFault(code, "said EC2", status) });
    const error = await rejection(provider.create(order(), signal));
    expect(error).toBeInstanceOf(ProviderError);
    expect(error).toMatchObject({ fault, mayHaveHappened: fault === "unavailable" });
    expect(error.message).toBe(`EC2 failed (start of an instance): ${code}: said EC2`);
    // Tried once: the daemon is who tries again.
    expect(orders()).toHaveLength(1);
  });

  it("may be there when its order was not answered before the provider was told to stop", async () => {
    region.silent.add("RunInstances");
    const abort = new AbortController();
    const creating = rejection(provider.create(order(), abort.signal));
    await expect.poll(() => region.instances.length).toBe(1);
    abort.abort();
    expect(await creating).toMatchObject({ fault: "unavailable", mayHaveHappened: true });
  });

  it("is refused to wrong credentials in EC2's words, and to none without a request", async () => {
    await opened.writeFile("other", "[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = x\n");
    const other = await opened.open({ credentials_file: "other", profile: "other" });
    const wrong = await rejection(other.create(order(), signal));
    expect(wrong).toMatchObject({ fault: "refused", mayHaveHappened: false });
    expect(wrong.message).toContain("AWS was not able to validate the provided access credentials");
    const none = await opened.open({ credentials_file: "other", profile: "none" });
    const error = await rejection(none.create(order(), signal));
    expect(error).toMatchObject({ fault: "refused", mayHaveHappened: false });
    expect(error.message).toMatch(/credentials/i);
    expect(region.calls).toEqual([]);
  });

  it("is not ordered with a file of credentials that others may read, or that is not there", async () => {
    await opened.writeFile("open", "[ci]\n", 0o644);
    await expect(opened.open({ credentials_file: "open" })).rejects.toThrow(
      /open holds a secret and others may read it/,
    );
    await expect(opened.open({ credentials_file: "none" })).rejects.toThrow(/none cannot be read \(ENOENT\)/);
  });

  it("that is gone is no longer listed once it was deleted, though EC2 remembers it", async () => {
    const request = order();
    const { providerId } = await provider.create(request, signal);
    await provider.delete({ providerId, tags: request.tags }, signal);
    expect((await provider.list(OWNER, signal)).map(({ state }) => state)).toEqual(["stopping"]);
    expect(await provider.list(OWNER, signal)).toEqual([]);
    // A new provisioner does not know who deleted it, and does so again without a call that changes anything.
    const next = await opened.open();
    expect(await next.list(OWNER, signal)).toMatchObject([{ providerId, state: "stopped" }]);
    await next.delete({ providerId, tags: request.tags }, signal);
    expect(await next.list(OWNER, signal)).toEqual([]);
    expect(region.callsOf("TerminateInstances")).toHaveLength(1);
  });

  it("that ended without a word on its console has EC2's reason in its place", async () => {
    const { providerId } = await provider.create(order(), signal);
    expect(await provider.readConsole(providerId, signal)).toBeNull();
    const [instance] = region.instances;
    if (instance === undefined) throw new Error("there is no instance");
    Object.assign(instance, {
      state: "terminated",
      reason: "Server.SpotInstanceTermination: Spot instance termination",
    });
    expect(await provider.readConsole(providerId, signal)).toBe(
      "EC2: Server.SpotInstanceTermination: Spot instance termination",
    );
  });

  it("of an older type has its console read as it was last kept", async () => {
    const { providerId } = await provider.create(
      order({ machine: machineOf({ image: IMAGES.chatty, instance_type: "t2.small" }) }),
      signal,
    );
    expect((await provider.readConsole(providerId, signal))?.trimEnd()).toMatch(/the end$/);
    expect(region.callsOf("GetConsoleOutput").map(({ Latest }) => Latest)).toEqual(["true", "false"]);
  });

  describe("is checked before any is made:", () => {
    it.each([
      [{ image: IMAGES.missing }, `there is no image ${IMAGES.missing} in this region that this account may use`],
      [{ image: IMAGES.arm }, `the image ${IMAGES.arm} is for arm64, and m7i.large is x86_64`],
      [{ instance_type: "m0.huge" }, "there is no type m0.huge in this region"],
      [{ subnets: ["subnet-00000000"] }, "there is no subnet subnet-00000000 in this region"],
      [{ security_groups: ["sg-00000000"] }, "there is no security group sg-00000000 in this region"],
      [{ security_groups: [FOREIGN_GROUP] }, `${SUBNETS[0]}, ${FOREIGN_GROUP} are in several networks: vpc-1, vpc-2`],
    ])("%j", async (options, problem) => {
      expect(await provider.check([machineOf(), machineOf(options)], signal)).toEqual([problem]);
      expect(region.instances).toEqual([]);
    });

    it.each([
      "RunInstances",
      "DescribeInstances",
      "DescribeImages",
      "DescribeInstanceTypes",
      "DescribeSubnets",
      "DescribeSecurityGroups",
    ])("that the account may %s", async (action) => {
      region.denied.add(action);
      const problems = await provider.check([machineOf()], signal);
      expect(problems).toEqual([expect.stringContaining(`You are not authorized to perform ec2:${action}`)]);
    });

    it("with few tries, however many templates there are", async () => {
      const many = Array.from({ length: 20 }, (_, number) => machineOf({ root_volume_gib: 10 + number }));
      expect(await provider.check(many, signal)).toEqual([]);
      expect(orders().map(({ DryRun }) => DryRun)).toEqual(Array.from({ length: 5 }, () => "true"));
    });

    it("and the check itself fails while EC2 throttles", async () => {
      region.faults.push({
        action: "DescribeSubnets",
        fault: new ApiFault("RequestLimitExceeded", "Request limit exceeded.", 503),
      });
      expect(await rejection(provider.check([machineOf()], signal) as Promise<unknown>)).toMatchObject({
        fault: "throttled",
      });
    });
  });
});
