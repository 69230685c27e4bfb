import { expect, it } from "vitest";
import { METADATA_NETWORKS } from "./barriers.ts";
import { bridgeName, bridgePrefix, deadRunners, planChains, rulesInto } from "./firewall.ts";
import { parseNetwork } from "./networks.ts";

const LISTING = [
  "-P INPUT ACCEPT",
  "-N SHIPFOX-sfx0a1b2-HOST",
  '-A INPUT -i sfx0a1b2+ -m comment --comment "shipfox-runner 12@345@678" -j SHIPFOX-sfx0a1b2-HOST',
  '-A INPUT -i sfxffff0+ -m comment --comment "shipfox-runner 99@1@678" -j SHIPFOX-sfxffff0-HOST',
  "-A INPUT -i eth0 -j DROP",
  "-A SHIPFOX-sfx0a1b2-HOST -j REJECT --reject-with icmp-admin-prohibited",
].join("\n");

it("names bridges so that a rule can mean those of one runner, within what the kernel allows", () => {
  expect(bridgeName("runner-1", "0123456789ab")).toBe(`${bridgePrefix("runner-1")}0123456`);
  expect(bridgeName("runner-1", "0123456789ab").length).toBeLessThanOrEqual(15);
  expect(bridgePrefix("runner-1")).not.toBe(bridgePrefix("runner-2"));
});

it("plans own chains by family, the narrower rule first, the host closed but for answers and exceptions", () => {
  const barriers = { denied: [...METADATA_NETWORKS, parseNetwork("10.0.0.0/8")], allowed: [parseNetwork("10.1.2.3")] };
  const v4 = planChains("iptables", "sfx0a1b2", "bridges", barriers).split("\n");
  expect(v4.filter((line) => line.startsWith(":"))).toEqual([
    ":SHIPFOX-sfx0a1b2-OUT - [0:0]",
    ":SHIPFOX-sfx0a1b2-HOST - [0:0]",
  ]);
  expect(v4.indexOf("-A SHIPFOX-sfx0a1b2-OUT -d 10.1.2.3/32 -j RETURN")).toBeLessThan(
    v4.indexOf("-A SHIPFOX-sfx0a1b2-OUT -d 10.0.0.0/8 -j REJECT --reject-with icmp-admin-prohibited"),
  );
  expect(v4.slice(-3)).toEqual([
    "-A SHIPFOX-sfx0a1b2-HOST -j REJECT --reject-with icmp-admin-prohibited",
    "COMMIT",
    "",
  ]);
  const v6 = planChains("ip6tables", "sfx0a1b2", "bridges", barriers);
  expect(v6).toContain("-A SHIPFOX-sfx0a1b2-OUT -d fd00:ec2:0:0:0:0:0:0/32 -j REJECT");
  expect(v6).not.toContain("10.");
});

it("plans one chain for the user of steps: no metadata, but names, and nothing else is touched", () => {
  const barriers = { denied: [...METADATA_NETWORKS], allowed: [parseNetwork("169.254.7.7")] };
  const v4 = planChains("iptables", "sfx0a1b2", { uid: 10001 }, barriers).split("\n");
  expect(v4.filter((line) => line.startsWith(":"))).toEqual([":SHIPFOX-sfx0a1b2-USER - [0:0]"]);
  const places = [
    "-A SHIPFOX-sfx0a1b2-USER -d 169.254.0.0/16 -p udp --dport 53 -j RETURN",
    "-A SHIPFOX-sfx0a1b2-USER -d 169.254.7.7/32 -j RETURN",
    "-A SHIPFOX-sfx0a1b2-USER -d 169.254.0.0/16 -j REJECT --reject-with icmp-admin-prohibited",
  ].map((rule) => v4.indexOf(rule));
  expect(places).not.toContain(-1);
  expect(places).toEqual(places.toSorted((a, b) => a - b));
  expect(planChains("ip6tables", "sfx0a1b2", { uid: 10001 }, barriers)).not.toContain("169.254");
});

it("finds its own rules and no others, and the runners that have died", () => {
  expect(rulesInto("SHIPFOX-sfx0a1b2-HOST", LISTING)).toEqual([
    "INPUT -i sfx0a1b2+ -m comment --comment"
      .split(" ")
      .concat("shipfox-runner 12@345@678", "-j", "SHIPFOX-sfx0a1b2-HOST"),
  ]);
  expect(deadRunners(LISTING, (identity) => identity === "12@345@678")).toEqual(["sfxffff0"]);
  expect(deadRunners(LISTING, () => true)).toEqual([]);
});
