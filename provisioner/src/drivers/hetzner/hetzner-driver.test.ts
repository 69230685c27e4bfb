import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CreateRequest, type InstanceTags, type Provider, ProviderError } from "../driver.ts";
import { readTemplatesFile } from "../../templates/read-templates-file.ts";
import { labelsOf } from "../tag-labels.ts";
import { HetznerCloud, type Order } from "./hetzner-cloud.fixture.ts";
import { hetznerDriver } from "./hetzner-driver.ts";
import type { HetznerMachine } from "./options.ts";

const OWNER = { controller: "0197-controller", pool: "linux" };
const TAGS: InstanceTags = { ...OWNER, instance: "0197aaaa-0000-7000-8000-000000000001" };
const NAME = "shipfox-000000000001";
const TOKEN = "sf_ert_a-secret-of-this-test";
const MINUTE_MS = 60_000;
const never = new AbortController().signal;

let cloud: HetznerCloud;
let folder: string;
let provider: Provider<HetznerMachine>;

beforeEach(async () => {
  cloud = await HetznerCloud.start();
  folder = await mkdtemp(join(tmpdir(), "hetzner-driver-"));
  for (const token of cloud.tokens.keys()) await writeFile(join(folder, token), `${token}\n`, { mode: 0o600 });
  provider = await open();
});
afterEach(async () => {
  await provider.close();
  await cloud.close();
  await rm(folder, { recursive: true });
});

function open(token = "token-whole"): Promise<Provider<HetznerMachine>> {
  const settings = hetznerDriver.settingsSchema.parse({ token_file: token, endpoint: cloud.endpoint });
  return hetznerDriver.open(settings, { stateDir: folder, baseDir: folder });
}

function machine(options: object = {}): HetznerMachine {
  return hetznerDriver.machineSchema.parse({ server_type: "cx23", image: "debian-13", ...options });
}

function request(
  options: object = {},
  change: Partial<CreateRequest<HetznerMachine>> = {},
): CreateRequest<HetznerMachine> {
  return {
    name: NAME,
    tags: TAGS,
    templateKey: "small",
    machine: machine(options),
    boot: { registrationToken: TOKEN, runnerEnv: { SHIPFOX_API_URL: "https://ci.example.com" } },
    maxLifetimeMs: 90 * MINUTE_MS,
    ...change,
  };
}

function faultOf(call: Promise<unknown>) {
  return call.then(
    () => expect.unreachable("it did not fail"),
    (error: unknown) => {
      expect(error).toBeInstanceOf(ProviderError);
      const { fault, message, mayHaveHappened, retryAfterMs } = error as ProviderError;
      return { fault, message, mayHaveHappened, retryAfterMs };
    },
  );
}

/** The order of the only server. */
function ordered(): Order {
  const [server, ...others] = cloud.servers.values();
  expect(others).toEqual([]);
  return server?.order ?? expect.unreachable("nothing was ordered");
}

describe("[hetzner] an order", () => {
  it("names everything that the template names, by the ids that the API wants", async () => {
    const { providerId } = await provider.create(
      request({
        locations: ["nbg1"],
        ssh_keys: ["ops"],
        networks: ["runners"],
        firewalls: ["egress only"],
        ipv4: false,
        labels: { team: "build" },
      }),
      never,
    );
    expect(cloud.servers.has(Number(providerId))).toBe(true);
    const { user_data: _, ...order } = ordered();
    expect(order).toEqual({
      name: NAME,
      server_type: "cx23",
      image: "debian-13",
      location: "nbg1",
      ssh_keys: ["ops"],
      networks: [71],
      firewalls: [{ firewall: 81 }],
      public_net: { enable_ipv4: false, enable_ipv6: true },
      labels: { team: "build", ...labelsOf(TAGS), "io.shipfox.provisioner.template": "small" },
      start_after_create: true,
    });
  });

  it("leaves the choice of the location to Hetzner where the template names none", async () => {
    await provider.create(request(), never);
    expect(ordered()).not.toHaveProperty("location");
  });

  it("takes the newest snapshot that is ready and fits the server type", async () => {
    await provider.create(request({ image: undefined, image_selector: "role==runner" }), never);
    expect(ordered().image).toBe(102);
  });

  it("is refused in words when what it names is not there", async () => {
    const networks = await faultOf(provider.create(request({ networks: ["office"] }), never));
    expect(networks).toMatchObject({ fault: "refused", message: "there is no network office" });
    const snapshot = { image: undefined, image_selector: "role==builder" };
    expect(await faultOf(provider.create(request(snapshot), never))).toMatchObject({
      fault: "refused",
      message: "there is no snapshot for x86 with the labels role==builder",
    });
    expect(await faultOf(provider.create(request({ ssh_keys: ["nobody"] }), never))).toMatchObject({
      fault: "refused",
      message:
        "Hetzner Cloud refused the creation of a server (invalid_input, HTTP 422): invalid input in field 'ssh_keys'; ssh_keys: SSH key not found",
    });
    expect(cloud.servers.size).toBe(0);
  });

  it("makes a label of any template's name", async () => {
    await provider.create(request({}, { templateKey: `große Maschine/${"x".repeat(100)}` }), never);
    expect(ordered().labels?.["io.shipfox.provisioner.template"]).toMatch(/^gro_e_Maschine_x+$/);
  });

  it("is refused before it is sent when a tag is no value of a label", async () => {
    const wrong = request({}, { tags: { ...TAGS, instance: "two words" } });
    expect(await faultOf(provider.create(wrong, never))).toMatchObject({ fault: "refused", mayHaveHappened: false });
    expect(cloud.called("POST", "servers")).toBe(0);
  });
});

describe("[hetzner] the locations of a template", () => {
  const soldOut = { status: 422, code: "invalid_input", message: "unsupported location for server type" };
  const full = { status: 412, code: "resource_unavailable", message: "error during placement" };

  it("are tried in their order until there is room", async () => {
    cloud.full.set("fsn1", full).set("nbg1", soldOut);
    await provider.create(request({ locations: ["fsn1", "nbg1", "hel1"] }), never);
    expect(ordered().location).toBe("hel1");
  });

  it("make no_capacity when none has room", async () => {
    cloud.full.set("fsn1", full).set("nbg1", full);
    expect(await faultOf(provider.create(request({ locations: ["fsn1", "nbg1"] }), never))).toMatchObject({
      fault: "no_capacity",
      message: expect.stringMatching(/error during placement \(tried fsn1, nbg1\)$/),
      mayHaveHappened: false,
    });
  });

  it("are not tried further after a fault that another one would not heal", async () => {
    cloud.full.set("fsn1", { status: 403, code: "resource_limit_exceeded", message: "server limit exceeded" });
    const failure = faultOf(provider.create(request({ locations: ["fsn1", "nbg1"] }), never));
    expect(await failure).toMatchObject({ fault: "quota", mayHaveHappened: false });
    expect(cloud.called("POST", "servers")).toBe(1);
  });
});

describe("[hetzner] a creation that is asked for again", () => {
  it("answers the server of an order whose answer was lost", async () => {
    cloud.nextOrders.push({ reply: null, afterwards: true });
    expect(await faultOf(provider.create(request(), never))).toMatchObject({
      fault: "unavailable",
      mayHaveHappened: true,
    });
    const [server] = cloud.servers.values();
    expect(await provider.list(OWNER, never)).toMatchObject([{ providerId: String(server?.id), tags: TAGS }]);
    expect(await provider.create(request(), never)).toEqual({ providerId: String(server?.id) });
    expect(cloud.servers.size).toBe(1);
  });

  it("is unclear while the server is in no list", async () => {
    cloud.listsLag = true;
    const { providerId } = await provider.create(request(), never);
    expect(await provider.list(OWNER, never)).toEqual([]);
    expect(await faultOf(provider.create(request(), never))).toMatchObject({
      fault: "unavailable",
      mayHaveHappened: true,
    });
    cloud.listsLag = false;
    expect(await provider.create(request(), never)).toEqual({ providerId });
  });

  it.each([
    ["of nobody", {}],
    ["of another instance", labelsOf({ ...TAGS, instance: "other" })],
    ["of another pool", labelsOf({ ...TAGS, pool: "other" })],
  ])("is refused when a server %s has the name", async (_whose, labels) => {
    cloud.plant(NAME, labels);
    expect(await faultOf(provider.create(request(), never))).toMatchObject({
      fault: "refused",
      message: `there is a server ${NAME} with other labels`,
      mayHaveHappened: false,
    });
  });
});

describe("[hetzner] a list", () => {
  it("misses no server when others are deleted between its pages", async () => {
    cloud.perPage = 2;
    const servers = Array.from({ length: 9 }, (_, index) =>
      cloud.plant(`planted-${index}`, labelsOf({ ...OWNER, instance: `instance-${index}` })),
    );
    cloud.onPage = (page) => {
      const early = servers[page - 1];
      if (page > 1 && early) cloud.servers.delete(early.id);
    };
    const listed = new Set((await provider.list(OWNER, never)).map(({ providerId }) => Number(providerId)));
    for (const id of cloud.servers.keys()) expect(listed).toContain(id);
    expect(cloud.servers.size).toBeLessThan(servers.length);
  });

  it.each([
    ["initializing", "starting"],
    ["starting", "starting"],
    ["rebuilding", "starting"],
    ["running", "running"],
    ["migrating", "running"],
    ["unknown", "running"],
    ["a status of the future", "running"],
    ["stopping", "stopping"],
    ["deleting", "stopping"],
    // So that it is deleted: until then it costs.
    ["off", "stopped"],
  ])("says of a server that is %s that it is %s", async (status, state) => {
    cloud.plant("planted", labelsOf(TAGS)).status = status;
    expect(await provider.list(OWNER, never)).toMatchObject([{ state }]);
  });
});

describe("[hetzner] a deletion", () => {
  it("of a server that is being deleted asks for nothing more", async () => {
    const { id } = cloud.plant("planted", labelsOf(TAGS));
    (cloud.servers.get(id) ?? expect.unreachable()).status = "deleting";
    await provider.delete({ providerId: String(id), tags: TAGS }, never);
    expect(cloud.called("DELETE", `servers/${id}`)).toBe(0);
  });

  it("tries again later when the server is locked", async () => {
    const { id } = cloud.plant("planted", labelsOf(TAGS));
    const shown = { server: { id, name: "planted", status: "running", labels: labelsOf(TAGS) } };
    const locked = { error: { code: "locked", message: "the server is locked" } };
    cloud.nextCalls.push({ status: 200, body: shown }, { status: 423, body: locked });
    expect(await faultOf(provider.delete({ providerId: String(id), tags: TAGS }, never))).toMatchObject({
      fault: "unavailable",
      mayHaveHappened: false,
    });
  });
});

describe("[hetzner] a failure", () => {
  const answered = (status: number, code: string, headers: Record<string, string> = {}) =>
    cloud.nextCalls.push({ status, body: { error: { code, message: "no luck" } }, headers });

  it.each([
    [401, "unauthorized", "refused", false],
    [403, "forbidden", "refused", false],
    [403, "token_readonly", "refused", false],
    [403, "resource_limit_exceeded", "quota", false],
    [409, "conflict", "unavailable", false],
    [410, "deprecated_api_endpoint", "refused", false],
    [412, "resource_unavailable", "no_capacity", false],
    [422, "placement_error", "no_capacity", false],
    [422, "invalid_input", "refused", false],
    [423, "protected", "refused", false],
    [429, "rate_limit_exceeded", "throttled", false],
    [500, "server_error", "unavailable", true],
    [503, "maintenance", "unavailable", true],
    [504, "timeout", "unavailable", true],
  ])("of a creation with %i %s is %s", async (status, code, fault, mayHaveHappened) => {
    answered(status, code);
    expect(await faultOf(provider.create(request(), never))).toMatchObject({ fault, mayHaveHappened });
  });

  it("without the API's own words, and an answer that is not understood, leave open what happened", async () => {
    cloud.nextCalls.push({ status: 502 });
    expect(await faultOf(provider.create(request(), never))).toMatchObject({
      fault: "unavailable",
      message: "Hetzner Cloud refused the creation of a server (no code, HTTP 502)",
      mayHaveHappened: true,
    });
    cloud.nextCalls.push({ status: 201, body: { server: "here" } });
    expect(await faultOf(provider.create(request(), never))).toMatchObject({
      fault: "unavailable",
      mayHaveHappened: true,
    });
  });

  it("for asking too often says how long to wait, a minute at most: the allowance comes back bit by bit", async () => {
    const inSeconds = (seconds: number) => ({
      "ratelimit-remaining": "0",
      "ratelimit-reset": String(Math.ceil(Date.now() / 1_000) + seconds),
    });
    answered(429, "rate_limit_exceeded", inSeconds(3_000));
    expect((await faultOf(provider.list(OWNER, never))).retryAfterMs).toBe(MINUTE_MS);
    answered(429, "rate_limit_exceeded", inSeconds(20));
    const { retryAfterMs } = await faultOf(provider.list(OWNER, never));
    expect(retryAfterMs).toBeGreaterThan(0);
    expect(retryAfterMs).toBeLessThanOrEqual(21_000);
    answered(429, "rate_limit_exceeded", { "retry-after": "7" });
    expect((await faultOf(provider.list(OWNER, never))).retryAfterMs).toBe(7_000);
  });

  it("never shows a token", async () => {
    answered(401, "unauthorized");
    const { message } = await faultOf(provider.create(request(), never));
    expect(message).not.toContain(TOKEN);
    expect(message).not.toContain("token-whole");
  });
});

describe("[hetzner] the check", () => {
  const check = (options: object) => provider.check([machine(options)], never);

  it("changes nothing, and says nothing when all is well", async () => {
    const all = { locations: ["fsn1", "hel1"], networks: ["runners", 71], firewalls: [81], ssh_keys: ["ops"] };
    expect(await check(all)).toEqual([]);
    expect(await check({ server_type: "cax11", image: 2 })).toEqual([]);
    expect(cloud.servers.size).toBe(0);
  });

  it.each([
    [{ locations: ["fsn2"] }, ["there is no location fsn2; did you mean fsn1?"]],
    [{ server_type: "cx99" }, ["there is no server type cx99"]],
    [{ server_type: "cax11", locations: ["nbg1"] }, ["there are no servers of type cax11 in nbg1"]],
    [{ server_type: "old1", locations: ["fsn1"] }, ["servers of type old1 are no longer sold in fsn1"]],
    [{ image: "debian-99" }, ["there is no image debian-99 for x86"]],
    [{ image: 999 }, ["there is no image 999 for x86"]],
    [{ image: 2 }, ["debian-13 is for arm; servers of type cx23 are x86"]],
    [{ image: 104 }, ["image 104 is not available: it is creating"]],
    [
      { server_type: "cax11", image: undefined, image_selector: "role==runner" },
      ["image 103 needs a disk of 80 GB; servers of type cax11 have 40 GB"],
    ],
    [
      { image: undefined, image_selector: "role==builder" },
      ["there is no snapshot for x86 with the labels role==builder"],
    ],
    [
      { networks: ["office", 9], firewalls: ["none"], ssh_keys: ["nobody"] },
      [
        "there is no network office",
        "there is no network 9",
        "there is no firewall none",
        "there is no ssh key nobody",
      ],
    ],
  ])("says of %j: %j", async (options, problems) => {
    expect(await check(options)).toEqual(problems);
  });

  it("says that the token may only read, or is none", async () => {
    const mayRead = await open("token-read-only");
    expect(await mayRead.check([machine()], never)).toEqual([
      "Hetzner Cloud refused a try of the token's right to write (token_readonly, HTTP 403): only read access is allowed with this token",
    ]);
    cloud.tokens.clear();
    expect(await mayRead.check([machine()], never)).toEqual([
      "Hetzner Cloud refused the list of locations (unauthorized, HTTP 401): unable to authenticate",
    ]);
    await mayRead.close();
  });
});

describe("[hetzner] the token's file", () => {
  const file = () => join(folder, "token-whole");

  it("is refused when others may read it, when it is missing, and when it holds more than a token", async () => {
    await chmod(file(), 0o640);
    expect(await faultOf(open())).toMatchObject({
      fault: "refused",
      message: `${file()} holds a secret and others may read it; run "chmod 600 ${file()}"`,
    });
    expect((await faultOf(open("none"))).message).toMatch(/none cannot be read \(ENOENT\)$/);
    await chmod(file(), 0o600);
    await writeFile(file(), "a token\nand more\n");
    expect((await faultOf(open())).message).toMatch(/must hold the secret and nothing else$/);
  });

  it("is read again, so that a new token counts at once", async () => {
    cloud.tokens.delete("token-whole");
    expect(await faultOf(provider.list(OWNER, never))).toMatchObject({ fault: "refused" });
    cloud.tokens.set("token-new", "whole");
    await writeFile(file(), "token-new");
    expect(await provider.list(OWNER, never)).toEqual([]);
  });
});

describe("[hetzner] a templates file", () => {
  it.each([
    ["http://api.hetzner.cloud/v1", false],
    ["https://user@api.hetzner.cloud/v1", false],
    ["ftp://api.hetzner.cloud/v1", false],
    ["https://hetzner.internal.example/v1", true],
    ["http://127.0.0.1:8080/v1", true],
  ])("with the endpoint %s is accepted: %s", (endpoint, isFine) => {
    expect(hetznerDriver.settingsSchema.safeParse({ token_file: "t", endpoint }).success).toBe(isFine);
  });

  it.each([
    [{ image: "debian-13", image_selector: "a==b" }, "expected either image or image_selector"],
    [{}, "expected either image or image_selector"],
    [{ image: 1, ipv4: false, ipv6: false }, "a server without ipv4 and ipv6 needs networks"],
    [{ image: 1, networks: ["a", "a"] }, "one is there twice"],
    [{ image: 1, labels: { "io.shipfox.provisioner.pool": "x" } }, "Invalid key in record"],
    [{ image: 1, labels: { a: "two words" } }, "expected up to 63 letters, digits, dots, dashes and underscores"],
  ])("with the machine %j is refused: %s", (options, message) => {
    const parsed = hetznerDriver.machineSchema.safeParse({ server_type: "cx23", ...options });
    expect(parsed.error?.issues.map((issue) => issue.message)).toEqual([message]);
  });

  it("that sends servers to a loopback address is refused in words", () => {
    const text = `provider: { kind: hetzner, token_file: t }
templates:
  small: { labels: [linux], max_concurrency: 1, machine: { server_type: cx23, image: debian-13 } }
`;
    const options = { drivers: { hetzner: hetznerDriver }, apiUrl: "http://localhost:16101" };
    expect(readTemplatesFile(text, options)).toMatchObject({
      ok: false,
      faults: [
        {
          message:
            "machines of hetzner cannot reach http://localhost:16101, which is an address of this host alone; give runner_api_url an address that servers of Hetzner Cloud reach",
        },
      ],
    });
    expect(readTemplatesFile(text, { ...options, apiUrl: "https://ci.example.com" }).ok).toBe(true);
  });
});
