import { afterAll, beforeAll } from "vitest";
import { driverConformance } from "../conformance.ts";
import { machineOf, OpenRegion } from "./open-region.fixture.ts";
import { IMAGES, SUBNETS } from "./test-region.fixture.ts";

let opened: OpenRegion;
beforeAll(async () => {
  opened = await OpenRegion.start();
  opened.region.listLag = 1;
});
afterAll(() => opened.close());

driverConformance("instances of EC2, whose lists lag", {
  open: () => opened.open(),
  machine: () => machineOf({ subnets: SUBNETS }),
  refusedMachine: () => machineOf({ image: IMAGES.missing }),
  chattyMachine: () => machineOf({ image: IMAGES.chatty }),
  leftovers: async () => opened.region.inventory(),
  plant: async (name, tags) => opened.region.plant(name, tags),
  openUnreachable: () => opened.open({ endpoint: "http://127.0.0.1:1" }),
  openBreakingLists: () => opened.open({ endpoint: opened.region.breakingEndpoint }),
  endsItself: false,
});
