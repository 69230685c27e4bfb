import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";
import { driverConformance } from "../conformance.ts";
import { TestEngine } from "../docker/test-engine.fixture.ts";
import { commandDriver } from "./command.ts";

const EXAMPLE = fileURLToPath(new URL("../../../examples/docker-provider.sh", import.meta.url));
const CHATTER = "i=0; while [ $i -lt 2000 ]; do echo line $i of what nobody reads; i=$((i+1)); done; echo the end";
const engine = new TestEngine();
const images = { stay: "", chatty: "" };
let stateDir = "";

beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "shipfox-example-"));
  images.stay = await engine.image("example", ["sleep", "600"]);
  images.chatty = await engine.image("example-chatty", ["sh", "-c", CHATTER]);
});
afterAll(async () => {
  await engine.close();
  await rm(stateDir, { recursive: true, force: true });
});

driverConformance("[docker] the example of a provider of one's own", {
  open: () =>
    commandDriver.open(commandDriver.settingsSchema.parse({ command: [EXAMPLE] }), {
      stateDir,
      baseDir: "/nonexistent",
    }),
  machine: () => ({ image: images.stay }),
  refusedMachine: () => ({ image: "shipfox-no-such-image:1" }),
  chattyMachine: () => ({ image: images.chatty }),
  leftovers: async () => {
    const filter = ["--filter", "label=shipfox.controller", "--format", "{{.Image}} {{.Names}}"];
    const lines = execFileSync("docker", ["ps", "--all", ...filter], { encoding: "utf8" }).split("\n");
    return lines.filter((line) => line.includes(engine.id));
  },
  endsItself: false,
});
