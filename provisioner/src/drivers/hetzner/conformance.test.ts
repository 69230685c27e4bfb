import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { driverConformance } from "../conformance.ts";
import { labelsOf } from "../tag-labels.ts";
import { HetznerCloud } from "./hetzner-cloud.fixture.ts";
import { hetznerDriver } from "./hetzner-driver.ts";
import type { HetznerMachine } from "./options.ts";

let cloud: HetznerCloud;
let folder: string;

beforeAll(async () => {
  cloud = await HetznerCloud.start();
  // Lists of three servers have two pages.
  cloud.perPage = 2;
  folder = await mkdtemp(join(tmpdir(), "hetzner-conformance-"));
  for (const token of cloud.tokens.keys()) await writeFile(join(folder, token), `${token}\n`, { mode: 0o600 });
});
afterAll(async () => {
  await cloud.close();
  await rm(folder, { recursive: true });
});

function open(token = "token-whole", endpoint = cloud.endpoint) {
  const settings = hetznerDriver.settingsSchema.parse({ token_file: token, endpoint });
  return hetznerDriver.open(settings, { stateDir: folder, baseDir: folder });
}

function machine(image: string): HetznerMachine {
  return hetznerDriver.machineSchema.parse({ server_type: "cx23", image, locations: ["fsn1", "nbg1"] });
}

driverConformance("[hetzner] servers", {
  open: () => open(),
  machine: () => machine("debian-13"),
  refusedMachine: () => machine("debian-99"),
  leftovers: async () => [...cloud.servers.values()].map(({ name }) => name),
  plant: async (name, { controller = "", pool = "", instance = "" }) => {
    const labels = Object.entries(labelsOf({ controller, pool, instance })).filter(([, value]) => value !== "");
    const { id } = cloud.plant(name, Object.fromEntries(labels));
    return {
      providerId: String(id),
      exists: async () => cloud.servers.has(id),
      remove: async () => void cloud.servers.delete(id),
    };
  },
  openUnreachable: () => open("token-whole", "http://127.0.0.1:1/v1"),
  openBreakingLists: () => open("token-breaks-lists"),
  showsConsoles: false,
  endsItself: false,
});
