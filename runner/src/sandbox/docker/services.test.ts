import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import type { ServiceConfig } from "@shipfox/shared/machine";
import { describe, expect, it } from "vitest";
import { run } from "../conformance.ts";
import type { Sandbox } from "../sandbox.ts";
import { SandboxError } from "../sandbox-error.ts";
import { DEFAULT_IMAGE } from "./docker-options.ts";
import { canEnterNamespaces } from "./routes.ts";
import { Testbed } from "./testbed.fixture.ts";

const TEST_TIMEOUT_MS = 120_000;
const entersNamespaces = await canEnterNamespaces();
const testbed = new Testbed("services");

/** A service of the runner's own image that runs a program for Node; `require` and all of Node are there. */
function node(name: string, program: string, more: Partial<ServiceConfig> = {}): ServiceConfig {
  return { name, image: DEFAULT_IMAGE, command: ["node", "-e", program], ...more };
}

const ECHO = "require('net').createServer((s) => s.pipe(s)).listen(7000)";
const say = (host: string, text: string) =>
  `echo ${text} | timeout 5 bash -c 'exec 3<>/dev/tcp/${host}/7000; head -1 >&3; head -1 <&3'`;

async function failure(opening: Promise<Sandbox>): Promise<SandboxError> {
  const error = await opening.catch((fault: unknown) => fault);
  if (!(error instanceof SandboxError)) throw new Error(`opened, or failed otherwise: ${String(error)}`);
  return error;
}

describe("[docker] services", { timeout: TEST_TIMEOUT_MS }, () => {
  it("are reached by name from the steps and from each other, and are gone with the job", async () => {
    const input = testbed.options();
    await testbed.withProvider(input, async (provider, open) => {
      expect(provider.capabilities.services).toBe(true);
      const asks =
        "fetch('http://web:8000').then((r) => r.text()).then((t) => console.log('got', t)); setInterval(() => {}, 1e6)";
      const sandbox = await open({
        services: [
          node("echo", ECHO, { ports: [7000] }),
          node("web", "require('http').createServer((q, r) => r.end('from ' + process.env.WHO)).listen(8000)", {
            env: { WHO: "web" },
            ports: [8000],
          }),
          node("client", `setTimeout(() => { ${asks} }, 1000)`),
        ],
      });
      expect((await run(sandbox, say("echo", "hello"))).stdout).toBe("hello\n");
      expect((await run(sandbox, "curl -s http://web:8000")).stdout).toBe("from web");
      await expect
        .poll(() => sandbox.takeServiceLogs().find(({ name }) => name === "client")?.lines)
        .toContain("got from web");
    });
  });

  it("serve a job in a warm place, too", async () => {
    const input = testbed.options({ poolSize: 1 });
    await testbed.withProvider(input, async (provider, open) => {
      await provider.warmedUp();
      const sandbox = await open({ services: [node("echo", ECHO, { ports: [7000] })] });
      expect((await run(sandbox, say("echo", "warm"))).stdout).toBe("warm\n");
    });
  });

  it("stand still with their job, and are gone when it is closed meanwhile", async () => {
    const input = testbed.options();
    await testbed.withProvider(input, async (_provider, open) => {
      const sandbox = await open({ services: [node("echo", ECHO, { ports: [7000] })] });
      const label = [`shipfox.runner=${input.runnerId}`, "shipfox.role=service"];
      const states = async () =>
        (await testbed.docker.listContainers({ filters: { label } })).map(({ State }) => State);
      await sandbox.pause();
      expect(await states()).toEqual(["paused"]);
      await sandbox.resume();
      expect((await run(sandbox, say("echo", "again"))).stdout).toBe("again\n");
      await sandbox.pause();
    });
  });

  it("are waited for until their check passes", async () => {
    await testbed.withProvider(testbed.options(), async (_provider, open) => {
      const program =
        "setTimeout(() => require('fs').writeFileSync('/tmp/ready', ''), 1500); setInterval(() => {}, 1e6)";
      const health = { cmd: "test -e /tmp/ready", interval_ms: 100 };
      const sandbox = await open({ services: [node("slow", `console.log('starting'); ${program}`, { health })] });
      expect(sandbox.takeServiceLogs()).toEqual([{ name: "slow", lines: ["starting"] }]);
      expect(sandbox.takeServiceLogs()).toEqual([{ name: "slow", lines: [] }]);
    });
  });

  it("that end, turn out unhealthy, cannot be started or do not listen fail the job with what they printed", async () => {
    await testbed.withProvider(testbed.options({ serviceStartMs: 3_000 }), async (_provider, open) => {
      const ended = await failure(open({ services: [node("db", "console.log('no password'); process.exit(3)")] }));
      expect(ended).toMatchObject({
        reason: "service_failed",
        message: expect.stringContaining("db ended with exit code 3"),
      });
      expect(ended.message).toContain("no password");
      const health = { cmd: ["sh", "-c", "echo not yet; exit 1"], interval_ms: 50, retries: 3 };
      const ill = await failure(open({ services: [node("db", "setInterval(() => {}, 1e6)", { health })] }));
      expect(ill.message).toMatch(/db is unhealthy: 3 checks failed, the last: exit code 1 not yet/);
      const wrong = await failure(open({ services: [{ name: "db", image: DEFAULT_IMAGE, command: ["/no/such"] }] }));
      expect(wrong).toMatchObject({ reason: "service_failed", message: expect.stringContaining("cannot be started") });
      const deaf = await failure(open({ services: [node("db", "setInterval(() => {}, 1e6)", { ports: [5432] })] }));
      expect(deaf.message).toMatch(/Nothing accepts connections on db\/5432/);
    });
    await testbed.withProvider(testbed.options(), async (_provider, open) => {
      const gone = await failure(
        open({ services: [node("db", "setTimeout(() => process.exit(4), 1500)", { ports: [5432] })] }),
      );
      expect(gone.message).toContain("db ended with exit code 4");
    });
  });

  it("keep the last 64 KiB of what they print, and say what is missing", async () => {
    await testbed.withProvider(testbed.options(), async (_provider, open) => {
      const program = "for (let i = 0; i < 20000; i++) console.log('line ' + i); setInterval(() => {}, 1e6)";
      const sandbox = await open({ services: [node("loud", program, { health: { cmd: "sleep 1" } })] });
      const [log] = sandbox.takeServiceLogs();
      expect(log?.lines[0]).toMatch(/^… \d+ bytes are left out$/);
      expect(log?.lines.at(-1)).toBe("line 19999");
    });
  });

  it("can become another user, as databases do, and nothing more", async () => {
    const input = testbed.options();
    await testbed.withProvider(input, async (_provider, open) => {
      await open({ services: [node("db", "setInterval(() => {}, 1e6)")] });
      const label = [`shipfox.runner=${input.runnerId}`, "shipfox.role=service"];
      const [found] = await testbed.docker.listContainers({ filters: { label } });
      const { HostConfig, Mounts } = await testbed.docker.getContainer(found?.Id ?? "").inspect();
      expect(HostConfig).toMatchObject({
        Privileged: false,
        CapDrop: ["ALL"],
        CapAdd: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"],
        SecurityOpt: ["no-new-privileges"],
        AutoRemove: true,
        PidsLimit: 200,
        LogConfig: { Type: "none" },
      });
      expect(Mounts).toEqual([]);
    });
  });

  it("cannot hold the lifeline of their keeper, not even as root or as its user", async () => {
    await testbed.withProvider(testbed.options(), async (_provider, open) => {
      const program = `
        const fs = require("fs");
        const attempt = () => { for (const pid of fs.readdirSync("/proc").filter((n) => +n < process.pid)) {
          for (const path of ["/proc/" + pid + "/fd/0", "/proc/" + pid + "/mem"]) {
            try { fs.openSync(path, "r+"); console.log("opened", path); } catch (error) { console.log(error.code); }
          } } };
        attempt(); process.setgid(65534); process.setuid(65534); attempt(); console.log("tried as", process.getuid());
        setInterval(() => {}, 1e6)`;
      const sandbox = await open({ services: [node("evil", program, { health: { cmd: "sleep 1" } })] });
      const lines = sandbox.takeServiceLogs()[0]?.lines ?? [];
      expect(lines).toContain("tried as 65534");
      expect(lines).toContain("EACCES");
      expect(lines.filter((line) => line.startsWith("opened"))).toEqual([]);
    });
  });

  it.runIf(entersNamespaces)("cannot reach the metadata address", async () => {
    const input = testbed.options();
    await testbed.withProvider(input, async (_provider, open) => {
      const first = await open();
      const [network] = await testbed.docker.listNetworks({ filters: { label: [`shipfox.runner=${input.runnerId}`] } });
      const bridge = network?.Options?.["com.docker.network.bridge.name"] ?? "";
      await promisify(execFile)("ip", ["addr", "add", "169.254.169.254/32", "dev", bridge]);
      const server = createServer((_request, response) => response.end("credentials")).listen(0, "169.254.169.254");
      try {
        await once(server, "listening");
        const url = `http://169.254.169.254:${(server.address() as AddressInfo).port}/`;
        expect(await (await fetch(url)).text()).toBe("credentials");
        const program = `fetch("${url}").then((r) => r.text(), (e) => "blocked " + e.cause.code).then(console.log); setInterval(() => {}, 1e6)`;
        const sandbox = await open({ services: [node("curious", program, { health: { cmd: "sleep 1" } })] });
        expect(sandbox.takeServiceLogs()[0]?.lines.join()).toMatch(/^blocked /);
      } finally {
        server.close();
      }
      await first.close();
    });
  });

  it("are refused to a job without a network", async () => {
    await testbed.withProvider(testbed.options({ egress: "none" }), async (provider, open) => {
      expect(provider.capabilities.services).toBe(false);
      const refused = await failure(open({ services: [node("db", "0")] }));
      expect(refused.reason).toBe("not_supported");
    });
  });
});
