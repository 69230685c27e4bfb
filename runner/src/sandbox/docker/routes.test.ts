import { expect, it } from "vitest";
import { METADATA_NETWORKS, blockFromOutside, planRoutes } from "./routes.ts";

it("plans a prohibited route for every network, by family", () => {
  expect(planRoutes(["169.254.0.0/16", "fd00:ec2::/32"])).toEqual({
    v4: ["route replace prohibit 169.254.0.0/16"],
    v6: ["route replace prohibit fd00:ec2::/32"],
  });
});

it("refuses anything that is not a network: it becomes part of a command", () => {
  for (const wrong of ["10.0.0.0", "10.0.0.0/8; reboot", "example.com/8", ""])
    expect(() => planRoutes([wrong])).toThrow("CIDR");
});

it("never touches the routes of this machine when the engine's process ids mean something else here", async () => {
  for (const pid of [0, 1, process.pid])
    expect(await blockFromOutside(pid, "no-such-container", METADATA_NETWORKS)).toBe(false);
});
