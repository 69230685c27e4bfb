import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SETTINGS } from "../config.ts";
import { readConfiguration } from "@shipfox/shared/operate/configuration";
import { formatSubnet, parseSubnet } from "../sandbox/docker/subnets.ts";
import { dockerChecks, judgeMode, judgeNetworks, judgeStorage } from "./docker-checks.ts";
import { runChecks } from "@shipfox/shared/operate/check";
import { parseGitVersion } from "./program-checks.ts";
import { parseRoutes } from "./routes-table.ts";

const HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
const range = parseSubnet("10.213.0.0/16");
const facts = { range, ours: [], networks: [], routes: [], concurrency: 2 };

describe("the networks of jobs", () => {
  it("may not lie where this machine reaches another network", () => {
    const routes = parseRoutes(
      `${HEAD}eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\ntun0\t0000D50A\t0102A8C0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n`,
    );
    expect(routes).toEqual([{ device: "tun0", subnet: range }]);
    expect(judgeNetworks({ ...facts, routes })).toMatchObject({
      state: "fail",
      message: expect.stringContaining("through tun0"),
    });
    expect(judgeNetworks({ ...facts, ours: [range], routes, range: parseSubnet("10.214.0.0/16") }).state).toBe("ok");
  });

  it("may lie beside those of running jobs and other networks, as long as there is room", () => {
    const taken = parseSubnet("10.213.0.0/28");
    const routes = [{ device: "br-1", subnet: taken }];
    expect(judgeNetworks({ ...facts, ours: [taken], routes }).state).toBe("ok");
    expect(judgeNetworks({ ...facts, networks: [{ name: "web", subnets: [taken] }], routes })).toMatchObject({
      state: "warn",
    });
    // Of another runner, or made since the engine was asked.
    expect(judgeNetworks({ ...facts, routes: [{ device: "sfxd38092620587", subnet: taken }] }).state).toBe("ok");
    const small = parseSubnet("10.213.0.0/26");
    expect(judgeNetworks({ ...facts, range: small, ours: [taken], routes })).toMatchObject({
      state: "fail",
      message: "10.213.0.0/26 has only 3 free blocks for jobs; 6 are needed for 2 at once",
    });
  });

  it("reads every line of the kernel's table, whatever else stands there", () => {
    const hex = (value: number) => value.toString(16).padStart(8, "0").toUpperCase();
    const swap = (value: number) => [0, 8, 16, 24].reduce((sum, shift) => sum * 256 + ((value >>> shift) & 0xff), 0);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 32 }), fc.nat(2 ** 31), (prefix, number) => {
        const mask = (0xffffffff << (32 - prefix)) >>> 0;
        const address = (number & mask) >>> 0;
        const line = `eth1\t${hex(swap(address))}\t00000000\t0001\t0\t0\t0\t${hex(swap(mask))}\t0\t0\t0`;
        const [route] = parseRoutes(`${HEAD}${line}\n`);
        expect(route && formatSubnet(route.subnet)).toBe(formatSubnet({ address, prefix }));
      }),
    );
    fc.assert(fc.property(fc.string(), (text) => void parseRoutes(text)));
  });
});

describe("the engine", () => {
  it.each([
    [["name=seccomp,profile=default"], "ok"],
    [["name=seccomp,profile=default", "name=rootless"], "ok"],
    [["name=seccomp,profile=default", "name=userns"], "fail"],
    [[], "warn"],
  ])("with %j is %s", (SecurityOptions, state) => {
    expect(judgeMode({ SecurityOptions }).state).toBe(state);
  });

  it("stores layers well with overlay2, badly with vfs", () => {
    expect([judgeStorage({ Driver: "overlay2" }).state, judgeStorage({ Driver: "vfs" }).state]).toEqual(["ok", "warn"]);
  });
});

it("reads the versions of git on any system", () => {
  expect(parseGitVersion("git version 2.39.5 (Apple Git-154)")).toEqual([2, 39]);
  expect(parseGitVersion("git version 2.47.1.windows.1")).toEqual([2, 47]);
  expect(parseGitVersion("hub version 1")).toBeNull();
});

describe("doctor on a real engine [docker]", () => {
  const docker = (...args: string[]) => execFileSync("docker", args, { encoding: "utf8" }).trim();

  it("finds the engine, its mode and storage, an image that is missing and a network that is in the way", async () => {
    const name = `shipfox-doctor-${randomUUID()}`;
    const state = mkdtempSync(join(tmpdir(), "shipfox-doctor-"));
    docker("network", "create", "--subnet", "10.219.0.0/28", "--label", "shipfox.test=doctor", name);
    try {
      const config = readConfiguration(
        SETTINGS,
        {
          DOCKER_HOST: process.env["DOCKER_HOST"],
          [SETTINGS.stateDir.variable]: state,
          [SETTINGS.subnet.variable]: "10.219.0.0/24",
          [SETTINGS.image.variable]: `shipfox.invalid/${name}:1`,
        },
        {},
      );
      const results = await runChecks(dockerChecks(config));
      const of = (check: string) => results.find((result) => result.name === check)?.finding;
      expect(of("docker")?.state).toBe("ok");
      expect(of("docker storage")).toMatchObject({ message: docker("info", "--format", "{{.Driver}}") });
      expect(of("image")).toMatchObject({ state: "fail" });
      expect(of("job networks")).toMatchObject({ state: "warn", message: expect.stringContaining(name) });
    } finally {
      docker("network", "rm", name);
      rmSync(state, { recursive: true });
    }
  });
});
