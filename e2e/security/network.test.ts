import { networkInterfaces } from "node:os";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { attack } from "../src/attack.ts";
import { bareEnvironment, Child } from "../src/child.ts";
import { ControlPlane, DEFAULT_TIMES } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { Instance, jobOf, runStep, workflow } from "../src/instance.ts";
import { printedIn } from "../src/log-stream.ts";
import { useStage } from "../src/stage.ts";

const METADATA = ["169.254.169.254", "[fd00:ec2::254]"];
/** The same server under an address that nothing forbids. */
const ALLOWED = "198.18.77.2";
const NAMESPACE = `sfx-metadata-${process.pid}`;
const LINK = `sfxm${process.pid}`.slice(0, 15);
const SERVER =
  'require("http").createServer((q, s) => s.end("answered")).listen(80, "::", () => console.log("listening"))';

const ip = (...args: string[]) => execa("ip", args, { env: bareEnvironment({}), extendEnv: false });
const inside = (...args: string[]) => ip("-n", NAMESPACE, ...args);

const JOB_USER = "10025";

const LISTEN = workflow(
  "Listen",
  `  job:
    checkout: false
    steps:
      - run: |
          node -e 'require("http").createServer((q, s) => s.end("neighbour")).listen(7999, "::")' &
          echo "at $(hostname -I)listening"; sleep 300
`,
);

const asking = (urls: readonly string[]) =>
  workflow(
    "Ask",
    `  job:
    checkout: false
    steps:
      - run: for u in ${urls.map((url) => `'${url}'`).join(" ")}; do curl -gsS --max-time 5 "$u" 2>/dev/null && echo " $u" || true; done; echo end
`,
  );

const visiting = (urls: readonly string[]) =>
  workflow(
    "Visit",
    `  job:
    checkout: false
    steps:
      - run: |
          set +e
          visit() { for u in ${urls.map((url) => `'${url}'`).join(" ")}; do curl -gsS --max-time 5 "$u" 2>/dev/null && echo " $u"; done; }
          visit
          ip route del prohibit 169.254.0.0/16 2>/dev/null && echo "route removed"; ip route flush type prohibit 2>/dev/null
          ip addr add 169.254.1.1/16 dev eth0 2>/dev/null && echo "address added"
          ip -6 addr add fd00:ec2::1/64 dev eth0 2>/dev/null && echo "address added"
          visit; echo end
`,
  );

describe.runIf(process.getuid?.() === 0)("[docker] the network of a job", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;

  beforeAll(async () => {
    await serveMetadata();
    plane = await ControlPlane.start(stage, { times: DEFAULT_TIMES, env: { HOST: "::" } });
    instance = await Instance.create(stage, plane);
  });

  /** A network namespace with the metadata addresses of clouds, to which this machine, and so a naive container, has a route. */
  async function serveMetadata(): Promise<void> {
    await ip("netns", "add", NAMESPACE);
    stage.onEnd(() => ip("netns", "del", NAMESPACE));
    await ip("link", "add", LINK, "type", "veth", "peer", "name", "up0", "netns", NAMESPACE);
    await ip("addr", "add", "198.18.77.1/30", "dev", LINK);
    await ip("addr", "add", "fd00:77::1/64", "dev", LINK, "nodad");
    await ip("link", "set", LINK, "up");
    for (const address of ["198.18.77.2/30", "169.254.169.254/32"]) await inside("addr", "add", address, "dev", "up0");
    for (const address of ["fd00:77::2/64", "fd00:ec2::254/128"]) {
      await inside("addr", "add", address, "dev", "up0", "nodad");
    }
    await inside("link", "set", "up0", "up");
    await inside("route", "add", "default", "via", "198.18.77.1");
    await inside("-6", "route", "add", "default", "via", "fd00:77::1");
    await ip("route", "replace", "169.254.169.254/32", "via", "198.18.77.2");
    await ip("-6", "route", "replace", "fd00:ec2::254/128", "via", "fd00:77::2");
    const server = new Child(
      "metadata",
      "nsenter",
      [`--net=/run/netns/${NAMESPACE}`, process.execPath, "-e", SERVER],
      {},
    );
    await stage.addChild(server).printed(/listening/);
  }

  /** A job that listens, on the runner that the attacker will be on. */
  async function neighbourJob(): Promise<{ address: string; runId: string }> {
    const project = await instance.project({ "listen.yml": LISTEN });
    const runId = await instance.fire(project, "Listen");
    const { step } = await instance.stepPrinted(runId, "job", "listening\n");
    const address = /at (\S+) /.exec(printedIn(await instance.logText(step.id)))?.[1] ?? "";
    return { address, runId };
  }

  it.each(["auto", "off"])(`${attack(25, "over IPv4 and IPv6, firewall %s")}`, async (firewall) => {
    // Without the defence the attack succeeds: from this machine, and from a container that the runner did not make.
    for (const address of METADATA) expect(await (await fetch(`http://${address}/`)).text()).toBe("answered");
    const naive = ["run", "--rm", "shipfox/sandbox:1", "curl", "-sS", "--max-time", "10", "http://169.254.169.254/"];
    expect((await execa("docker", naive)).stdout).toBe("answered");

    const env = { SHIPFOX_RUNNER_FIREWALL: firewall, SHIPFOX_RUNNER_CONCURRENCY: "2" };
    const runner = await instance.runner({ sandbox: "docker", name: firewall, env });
    const { address: neighbour, runId } = await neighbourJob();
    expect(neighbour).toMatch(/^10\./);
    const { port } = new URL(plane.url);
    const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    const hosts = own
      .filter(({ internal }) => !internal)
      .map(({ address, family }) =>
        family === "IPv6" ? `[${address}${address.startsWith("fe80") ? "%eth0" : ""}]` : address,
      );
    const urls = [
      ...METADATA.map((address) => `http://${address}/`),
      "http://2852039166/",
      "http://[::ffff:169.254.169.254]/",
      "http://100.100.100.200/",
      ...hosts.map((host) => `http://${host}:${port}/healthz`),
      `http://${neighbour}:7999/`,
      `http://${ALLOWED}/`,
    ];
    const project = await instance.project({ "visit.yml": visiting(urls) });
    const run = await instance.waitForRun(await instance.fire(project, "Visit"), undefined, { limitMs: 280_000 });
    const printed = printedIn(await instance.logText(runStep(jobOf(run, "job")).id));
    expect(printed).toBe(`answered http://${ALLOWED}/\n`.repeat(2) + "end\n");
    // Only now: it had been there to be reached.
    await instance.api.call("POST", `/workflows/runs/${runId}/cancel`);
    await instance.waitForRun(runId);
    await runner.child.stop();
    await eventually("nothing of the runner is left", async () => (await runner.dockerThings()).length === 0);
  });

  it(`${attack(25, "with the host sandbox: by the user of the steps")}`, async () => {
    const asked = METADATA.map((address) => `http://${address}/`);
    const url = `http://${ALLOWED}/`;
    const project = await instance.project({ "ask.yml": asking([...asked, url]) });
    for (const [firewall, answers] of [
      ["off", [...asked, url]],
      ["auto", [url]],
    ] as const) {
      // Rules are by user: one that no other runner on this machine has.
      const env = { SHIPFOX_RUNNER_FIREWALL: firewall, SHIPFOX_RUNNER_JOB_USER: JOB_USER };
      const runner = await instance.runner({ sandbox: "host", name: `host-${firewall}`, env });
      const run = await instance.waitForRun(await instance.fire(project, "Ask"));
      expect(printedIn(await instance.logText(runStep(jobOf(run, "job")).id))).toBe(
        `${answers.map((answered) => `answered ${answered}\n`).join("")}end\n`,
      );
      expect(/metadata addresses/.test(runner.child.output)).toBe(firewall === "off");
      await runner.child.stop();
      for (const program of ["iptables", "ip6tables"])
        expect((await execa(program, ["-w", "5", "-S", "OUTPUT"])).stdout).not.toContain(`--uid-owner ${JOB_USER}`);
    }
  });
});
