import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { runnerIsRoot } from "../job-user.ts";
import { METADATA_NETWORKS } from "../network/barriers.ts";
import { parseNetwork } from "../network/networks.ts";
import { planRoutes, routeFromInsideText, routeFromOutside } from "./routes.ts";

const GATEWAY = "10.222.0.1";
const networks = (...texts: string[]) => texts.map(parseNetwork);

it("plans a prohibited route for everything denied and for the gateway, exceptions first", () => {
  const plan = planRoutes({ denied: networks("10.0.0.0/8", "fd00:ec2::/32"), allowed: networks("10.1.2.3") }, GATEWAY);
  expect(plan).toEqual({
    v4: [
      "route replace 10.1.2.3/32 via 10.222.0.1 dev eth0 onlink",
      "route replace prohibit 10.0.0.0/8",
      "route replace prohibit 10.222.0.1/32",
    ],
    v6: ["route replace prohibit fd00:ec2:0:0:0:0:0:0/32"],
  });
});

it("leaves the gateway open when the operator says so", () => {
  expect(planRoutes({ denied: [], allowed: networks(GATEWAY) }, GATEWAY)).toEqual({ v4: [], v6: [] });
});

it("never touches the routes of this machine when the engine's process ids mean something else here", async () => {
  const plan = planRoutes({ denied: METADATA_NETWORKS, allowed: [] }, GATEWAY);
  for (const pid of [0, 1, process.pid]) expect(await routeFromOutside(pid, "no-such-container", plan)).toBe(false);
});

describe.runIf(runnerIsRoot())("in a network namespace of its own", () => {
  it("forbids over both families, keeps exceptions and the way out, and may be set again", async () => {
    const barriers = {
      denied: [...METADATA_NETWORKS, ...networks("10.0.0.0/8", "192.0.2.9", "fd00::2")],
      allowed: networks("10.1.2.3", "169.254.169.253"),
    };
    const set = routeFromInsideText(planRoutes(barriers, GATEWAY));
    const script = [
      "set -e",
      "ip link add eth0 type veth peer name far; ip link set lo up; ip link set eth0 up; ip link set far up",
      "ip addr add 10.222.0.2/28 dev eth0; ip route add default via 10.222.0.1",
      "ip -6 addr add fd01::2/64 dev eth0 nodad; ip -6 route add default via fd01::1",
      `( ${set} )`,
      `( ${set} )`,
      'for a in "$@"; do if ip route get "$a" >/dev/null 2>&1; then echo "$a open"; else echo "$a closed"; fi; done',
    ];
    const asked = [
      "10.222.0.1",
      "10.222.0.3",
      "10.9.9.9",
      "10.1.2.3",
      "169.254.169.254",
      "169.254.169.253",
      "192.0.2.9",
      "8.8.8.8",
    ];
    const asked6 = ["fd00:ec2::254", "fd00::2", "2001:db8::1", "fe80::a9fe:a9fe"];
    const { stdout } = await execa("sh", [
      "-c",
      'exec unshare -n sh -c "$@"',
      "sh",
      script.join("\n"),
      "sh",
      ...asked,
      ...asked6,
    ]);
    expect(stdout.split("\n")).toEqual([
      "10.222.0.1 closed",
      "10.222.0.3 open",
      "10.9.9.9 closed",
      "10.1.2.3 open",
      "169.254.169.254 closed",
      "169.254.169.253 open",
      "192.0.2.9 closed",
      "8.8.8.8 open",
      "fd00:ec2::254 closed",
      "fd00::2 closed",
      "2001:db8::1 open",
      "fe80::a9fe:a9fe closed",
    ]);
  });
});
