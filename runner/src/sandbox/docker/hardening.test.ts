import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { run } from "../conformance.ts";
import { runnerIsRoot } from "../job-user.ts";
import { killByCgroup } from "./cgroup-kill.ts";
import { jobContainerOptions } from "./container-options.ts";
import { DEFAULT_IMAGE, dockerSettings } from "./docker-options.ts";
import { DockerProvider } from "./docker-provider.ts";
import { Firewall, bridgePrefix } from "../network/firewall.ts";
import { hostAddresses } from "./host-addresses.ts";
import { formatNetwork } from "../network/networks.ts";
import { ADDABLE_CAPABILITIES } from "./root-images.ts";
import { canEnterNamespaces } from "./routes.ts";
import { Testbed } from "./testbed.fixture.ts";

const TEST_TIMEOUT_MS = 120_000;
const MIB = 1024 ** 2;

const testbed = new Testbed("hardening");
const entersNamespaces = await canEnterNamespaces();
const setsFirewall = await Firewall.isUsable();

describe("options of a job's container", () => {
  const text = fc.string({ unit: "binary", maxLength: 40 });

  it("are what the operator set, whatever text a workflow puts where it may put some", () => {
    const input = testbed.options({ addedCapabilities: ["CHOWN"] });
    const plan = fc.record({
      imageId: text,
      home: text,
      env: fc.dictionary(text, text),
      user: fc.constantFrom({ uid: 10001, gid: 10001 }, { uid: 0, gid: 0 }),
      executionId: fc.option(text),
      holderId: fc.option(fc.constant("holder")),
    });
    fc.assert(
      fc.property(plan, fc.boolean(), ({ executionId, ...rest }, readOnlyRoot) => {
        const { HostConfig, ...options } = jobContainerOptions({
          settings: { ...dockerSettings(input), readOnlyRoot },
          owner: { runnerId: "runner", placeId: "place", executionId },
          workspace: "/places/a/workspace",
          files: "/places/a/files",
          homeFolder: null,
          overlays: {},
          layerBytes: null,
          ...rest,
        });
        expect(Object.keys(HostConfig ?? {}).sort()).toEqual(ALLOWED_HOST_OPTIONS);
        expect(HostConfig).toMatchObject({
          CapDrop: ["ALL"],
          CapAdd: rest.user.uid === 0 ? ["CHOWN"] : [],
          SecurityOpt: rest.user.uid === 0 ? [] : ["no-new-privileges"],
          NetworkMode: rest.holderId === null ? "none" : "container:holder",
          IpcMode: "private",
          CgroupnsMode: "private",
          ReadonlyRootfs: readOnlyRoot,
        });
        expect(HostConfig?.Mounts?.map(({ Source }) => Source)).toEqual(["/places/a/workspace", "/places/a/files"]);
        expect(options.User).toBe("65534:65534");
        expect(options.Entrypoint?.[0]).toBe("/bin/sh");
      }),
    );
  });

  it("never add a capability that undoes a barrier", () => {
    for (const capability of ["NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_PTRACE", "MKNOD", "KILL", "ALL"])
      expect(ADDABLE_CAPABILITIES).not.toContain(capability);
  });
});

const ALLOWED_HOST_OPTIONS = [
  "AutoRemove",
  "CapAdd",
  "CapDrop",
  "CgroupnsMode",
  "Init",
  "IpcMode",
  "LogConfig",
  "Memory",
  "MemorySwap",
  "Mounts",
  "NanoCpus",
  "NetworkMode",
  "PidsLimit",
  "ReadonlyRootfs",
  "RestartPolicy",
  "SecurityOpt",
  "ShmSize",
  "Tmpfs",
  "Ulimits",
];

describe("[docker] hardening", { timeout: TEST_TIMEOUT_MS }, () => {
  it("sets the limits and gives the engine nothing else, as it tells itself", async () => {
    const limits = {
      memoryBytes: 300 * MIB,
      pids: 77,
      cpus: 0.5,
      tmpBytes: 20 * MIB,
      shmBytes: 10 * MIB,
      openFiles: 512,
    };
    const input = testbed.options({ limits });
    await testbed.withProvider(input, async (_provider, open) => {
      const sandbox = await open();
      const [container] = await testbed.jobContainers(input);
      expect(container?.HostConfig).toMatchObject({
        Privileged: false,
        PidMode: "",
        IpcMode: "private",
        UTSMode: "",
        UsernsMode: "",
        CapDrop: ["ALL"],
        SecurityOpt: ["no-new-privileges"],
        Memory: limits.memoryBytes,
        MemorySwap: limits.memoryBytes,
        PidsLimit: limits.pids,
        NanoCpus: 500_000_000,
        ShmSize: limits.shmBytes,
      });
      const { CapAdd, Binds, Devices, VolumesFrom, PortBindings, ExtraHosts } = container?.HostConfig ?? {};
      for (const list of [CapAdd, Binds, Devices, VolumesFrom, ExtraHosts]) expect(list ?? []).toEqual([]);
      expect(Object.keys((PortBindings as object | null) ?? {})).toEqual([]);
      const { stdout } = await run(sandbox, "ulimit -n; df -k /tmp /dev/shm | awk 'NR > 1 { print $2 }'");
      expect(stdout).toBe(`512\n${20 * 1024}\n${10 * 1024}\n`);
    });
  });

  it("lets jobs write only where they must when the root is read-only", async () => {
    const input = testbed.options({ readOnlyRoot: true, poolSize: 1 });
    await testbed.withProvider(input, async (_provider, open) => {
      const sandbox = await open();
      const script = [
        'for place in /workspace /tmp /dev/shm "$HOME"; do touch $place/x && echo yes; done',
        "for place in / /etc /usr /var /run; do touch $place/x 2>/dev/null && echo $place; done",
        "whoami; test -r /etc/passwd",
      ];
      expect((await run(sandbox, script.join("\n"))).stdout).toMatch(/^yes\nyes\nyes\nyes\n\w+\n$/);
    });
  });

  it("says at the start that the engine has no such runtime, and which it has", async () => {
    const provider = new DockerProvider(testbed.options({ runtime: "no-such-runtime" }));
    const message = expect.stringMatching(/no runtime "no-such-runtime".*runc/) as string;
    await expect(provider.prepare()).rejects.toMatchObject({ name: "SandboxError", message });
    await testbed.withProvider(testbed.options({ runtime: "runc" }), async (_provider, open) => {
      expect((await run(await open(), "echo runs")).stdout).toBe("runs\n");
    });
  });

  it.runIf(runnerIsRoot())(
    "makes steps root only in the operator's images, with the capabilities they add",
    async () => {
      const input = testbed.options({ rootImages: [DEFAULT_IMAGE], addedCapabilities: ["CHOWN"], poolSize: 1 });
      await testbed.withProvider(input, async (_provider, open) => {
        const sandbox = await open();
        expect(sandbox.jobUser).toEqual({ uid: 0, gid: 0 });
        const file = await sandbox.createStepFile("output");
        const script = [
          "id -u; grep CapBnd /proc/self/status",
          'touch mine; chown 1:1 mine && echo given; echo x > "$OUT"; kill -KILL 1 2>/dev/null; kill -KILL -1 2>/dev/null',
        ];
        const { stdout } = await run(sandbox, script.join("\n"), { env: { OUT: file.inside } });
        expect(stdout.replaceAll("\t", " ")).toBe("0\nCapBnd: 0000000000000001\ngiven\n");
        expect((await run(sandbox, "echo $HOME")).stdout).toBe("/root\n");
      });
      await testbed.withProvider(testbed.options({ addedCapabilities: ["CHOWN"] }), async (_provider, open) => {
        const { stdout } = await run(await open(), "id -u; grep CapBnd /proc/self/status");
        expect(stdout).toMatch(/^[1-9]\d*\nCapBnd:\s0+\n$/);
      });
    },
  );

  it.runIf(runnerIsRoot() && existsSync("/sys/fs/cgroup/unified/docker"))(
    "kills a whole container by its group, without the engine",
    async () => {
      const input = testbed.options();
      await testbed.withProvider(input, async (_provider, open) => {
        const sandbox = await open();
        await run(sandbox, "env -i setsid sh -c 'trap : TERM; while :; do sleep 1; done' >/dev/null 2>&1 &");
        const [container] = await testbed.jobContainers(input);
        const gone = testbed.docker.getContainer(container?.Id ?? "").wait({ condition: "removed" });
        expect(await killByCgroup(container?.Id ?? "")).toBe(true);
        await gone;
        await expect(run(sandbox, "echo alive")).rejects.toMatchObject({ name: "SandboxError" });
      });
      expect(await killByCgroup("0".repeat(64))).toBe(false);
      expect(await killByCgroup("../../user.slice")).toBe(false);
    },
  );

  it("gives a job that wants no network none, from a warm place as well", async () => {
    for (const poolSize of [0, 1]) {
      await testbed.withProvider(testbed.options({ poolSize }), async (_provider, open) => {
        const sandbox = await open({ network: "none" });
        expect((await run(sandbox, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; ip route")).stdout).toBe(
          "lo\n",
        );
      });
    }
  });
});

describe.runIf(entersNamespaces)("[docker] barriers of a job's network", { timeout: TEST_TIMEOUT_MS }, () => {
  it.each(setsFirewall ? (["off", "auto"] as const) : (["off"] as const))(
    "keep a job from every address of this host and from denied ones, firewall %s",
    async (firewall) => {
      const server = createServer((_request, response) => response.end("host")).listen(0, "::");
      try {
        await once(server, "listening");
        const { port } = server.address() as AddressInfo;
        const input = testbed.options({ firewall });
        // Before the job's place is made: other networks of this machine come and go meanwhile.
        const before = (await hostAddresses()).map((network) => formatNetwork(network).replace(/\/.*/, ""));
        await testbed.withProvider(input, async (_provider, open) => {
          const sandbox = await open();
          const neighbour = await open();
          const [, gateway = ""] = /via (\S+)/.exec((await run(sandbox, "ip route show default")).stdout) ?? [];
          const gateways = [...before, gateway];
          expect(gateways.length).toBeGreaterThan(2);
          const urls = gateways.map((address) => `http://${address.includes(":") ? `[${address}]` : address}:${port}/`);
          expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("host");
          const script = `for url in ${urls.map((url) => `'${url}'`).join(" ")}; do curl -gsS --max-time 5 "$url" && echo " $url"; done; echo end`;
          const { stdout, stderr } = await run(sandbox, script);
          expect(stdout).toBe("end\n");
          expect(stderr).not.toContain("timed out");
          const own = (await run(neighbour, "hostname -I")).stdout.trim();
          expect(own).toMatch(/^10\./);
          expect((await run(sandbox, `ip route get ${own} 2>&1 || true`)).stdout).toContain("Permission denied");
        });
      } finally {
        server.close();
      }
    },
  );

  it("hold when the runner may not enter namespaces, and a root step cannot undo them", async () => {
    // Where neither nsenter nor ip nor iptables is found.
    vi.stubEnv("PATH", "/nonexistent");
    onTestFinished(() => void vi.unstubAllEnvs());
    const input = testbed.options({ rootImages: [DEFAULT_IMAGE], addedCapabilities: [...ADDABLE_CAPABILITIES] });
    await testbed.withProvider(input, async (provider, open) => {
      expect(provider.describeIsolation().filter((gap) => gap.includes("metadata"))).toEqual([]);
      const script =
        "ip route del prohibit 169.254.0.0/16 2>&1 || true; for a in 169.254.169.254 172.17.0.1; do ip route get $a 2>&1 || true; done";
      const { stdout } = await run(await open(), script);
      expect(stdout).toBe(
        "RTNETLINK answers: Operation not permitted\n" + "RTNETLINK answers: Permission denied\n".repeat(2),
      );
    });
  });

  it("let through what the operator allows, and what is not denied", async () => {
    const server = createServer((_request, response) => response.end("allowed")).listen(0, "0.0.0.0");
    try {
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const own = (await hostAddresses()).find(({ family }) => family === 4);
      if (own === undefined) throw new Error("This machine has no IPv4 address.");
      const input = testbed.options({ allowedNetworks: [own], firewall: setsFirewall ? "auto" : "off" });
      await testbed.withProvider(input, async (_provider, open) => {
        const url = `http://${formatNetwork(own).replace("/32", "")}:${port}/`;
        expect((await run(await open(), `curl -sS --max-time 10 ${url}`)).stdout).toBe("allowed");
      });
    } finally {
      server.close();
    }
  });

  it.runIf(setsFirewall)("make own chains only, make them again when they are flushed, and remove them", async () => {
    const list = async (program: string) => (await promisify(execFile)(program, ["-w", "5", "-S"])).stdout.split("\n");
    const input = testbed.options({ firewall: "auto" });
    const prefix = bridgePrefix(input.runnerId);
    const isOurs = (line: string) => line.includes(`SHIPFOX-${prefix}`);
    await testbed.withProvider(input, async (provider, open) => {
      const made = (await list("iptables")).filter(isOurs);
      expect(made.length).toBeGreaterThan(8);
      await promisify(execFile)("iptables", ["-w", "5", "-F", `SHIPFOX-${prefix}-HOST`]);
      await open();
      expect(new Set((await list("iptables")).filter(isOurs))).toEqual(new Set(made));
      await provider.prepare();
      expect((await list("iptables")).filter(isOurs)).toHaveLength(made.length);
    });
    for (const program of ["iptables", "ip6tables"]) expect((await list(program)).filter(isOurs)).toEqual([]);
  });
});
