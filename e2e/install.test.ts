import { readFileSync } from "node:fs";
import { join } from "node:path";
import { VERSION } from "@shipfox/shared/version";
import { beforeAll, describe, expect, it } from "vitest";
import { BareMachine } from "./src/bare-machine.ts";
import { eventually } from "./src/eventually.ts";
import { workflow } from "./src/instance.ts";
import { REPOSITORY_ROOT } from "./src/programs.ts";
import { buildNextRelease } from "./src/release.ts";
import { useStage } from "./src/stage.ts";
import { buildTarballs } from "./src/tarballs.ts";

const NEXT = VERSION.replace(/\d+$/, (patch) => `${Number(patch) + 1}`);
const BROKEN = VERSION.replace(/\d+$/, (patch) => `${Number(patch) + 2}`);
const URL = "http://localhost:16101";
const README = readFileSync(`${REPOSITORY_ROOT}/README.md`, "utf8");
/** What a person types, and what is printed. */
const FIRST_MINUTE = /<!-- first-minute:begin -->\s*```console\n([^]*?)```/.exec(README)?.[1] ?? "";
const COMMANDS = FIRST_MINUTE.split("\n").flatMap((line) => (line.startsWith("$ ") ? [line.slice(2)] : []));
const RUNNERS = ["shipfox-runner", "shipfox-runner@blue"];
const SERVICES = ["shipfox-control-plane", "shipfox-provisioner", ...RUNNERS];
const PROVIDER = join(REPOSITORY_ROOT, "e2e", "fixtures", "provider.mjs");
const TEMPLATES = `provider: { kind: command, command: [/opt/provider.mjs] }
templates:
  beside: { labels: [linux, fleet], max_concurrency: 1 }
`;
const JOBS = 20;
/** Where the service of the control plane takes repositories from its own machine. */
const REPOSITORY = "/var/lib/shipfox/control-plane/repositories/proof";
const WORKFLOWS = {
  fleet: workflow("fleet", "  job:\n    runner: [linux, fleet]\n    checkout: false\n    steps: [{ run: hostname }]\n"),
  gated: workflow(
    "gated",
    `  job:
    runner: [linux, x64]
    checkout: false
    matrix: { n: [${Array.from({ length: JOBS }, (_, index) => index).join(", ")}] }
    steps:
      - run: |
          touch /tmp/began-\${{ matrix.n }}
          until [ -e /tmp/gate ]; do sleep 0.5; done
          echo \${{ matrix.n }} >>/tmp/ended
`,
  ),
};

describe("[docker] install.sh on a machine with systemd", () => {
  const stage = useStage();
  let machine: BareMachine;
  let pristine: string;

  beforeAll(async () => {
    const [now, next] = await Promise.all([stage.folder("release"), stage.folder("release")]);
    await buildTarballs(now);
    await buildNextRelease(stage, NEXT, next);
    machine = await BareMachine.boot(stage, { [now]: "/srv/now", [next]: "/srv/next" });
    await machine.sh("mkdir -p /root/dist; ln -s /srv/now /root/dist/release");
    pristine = await machine.listing();
  });

  const install = (from: string, ...flags: string[]) =>
    machine.sh(`sh /srv/${from}/install.sh ${flags.join(" ")} 2>&1`);
  const pidOf = async (service: string) =>
    Number(await machine.sh(`systemctl show --property MainPID --value ${service}`));

  /** What the control plane gives away. */
  const given = () =>
    machine.sh(
      `curl -fsS ${URL}/releases/SHA256SUMS; cd /usr/local/lib/shipfox; ls . releases; cat releases/SHA256SUMS`,
    );

  async function expectGreen(name = "hello --project hello"): Promise<void> {
    const { code, stdout, stderr } = await machine.try(`shipfox run ${name} --follow`);
    expect({ code, output: code === 0 ? "" : `${stdout}\n${stderr}` }).toEqual({ code: 0, output: "" });
  }

  async function addRunner(...flags: string[]): Promise<void> {
    const added = await machine.sh("shipfox runners add");
    const token = /sf_mrt_[\w-]{43}/.exec(added)?.[0] ?? "";
    // What a person types as one line, but for the token, which comes by standard input here.
    const script = `token=$(cat); curl -fsSL ${URL}/install.sh | SHIPFOX_TOKEN=$token sh -s -- runner --url ${URL} ${flags.join(" ")} 2>&1`;
    expect(await machine.sh(script, token)).toContain("registered; the copy of the token was deleted");
    const seen = await machine.sh("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'; cat /etc/shipfox/*");
    expect(seen).toContain("main.mjs");
    expect(seen).not.toContain(token);
  }

  it("explains itself, also when it comes by a pipe", async () => {
    const help = await machine.sh("cat /srv/now/install.sh | sh -s -- --help");
    expect(help).toMatch(/^Installs a part of Shipfox[^]*--dry-run[^]*Exit status/);
    const wrong = await machine.try("cat /srv/now/install.sh | sh -s -- runner --wrong");
    expect([wrong.code, wrong.stderr]).toEqual([64, expect.stringContaining("--help")]);
  });

  it("says what it would do, and does nothing of it, with --dry-run", async () => {
    expect(await install("now", "control-plane", "--from", "/srv/now", "--dry-run")).toContain("would install");
    expect(await machine.listing()).toBe(pristine);
  });

  it("goes from nothing to a green job with the three commands of the README", async () => {
    const [first = "", second = "", third = ""] = COMMANDS;
    const installed = await machine.sh(`cd; ${first} 2>&1`);
    expect(installed).toMatch(/the password of you@example\.com, shown only now: \S{20}/);
    const line = /^ {2}(curl .*)$/m.exec(installed)?.[1] ?? "";
    const token = /sf_mrt_[\w-]{43}/.exec(line)?.[0] ?? "";
    expect(line.replace(token, "sf_mrt_…")).toBe(second);
    // A container has no Docker Engine of its own, and can say so.
    const without = await machine.try(line);
    expect([without.code, without.stderr]).toEqual([3, expect.stringContaining("missing: Docker Engine")]);
    const added = await machine.sh(`${line} --sandbox host 2>&1`);
    expect(added).toContain("registered; the copy of the token was deleted");
    expect(await machine.sh(`${third} 2>&1`)).toMatch(/Hello from \S+\. This job ran on your own machine\./);
    // One token, one runner.
    await install("now", "uninstall runner --purge");
    expect((await machine.try(`${line} --sandbox host`)).code).toBe(1);
    await install("now", "uninstall runner --purge");
  });

  it("installs runners from the control plane, whose tokens are nowhere afterwards; a job is green", async () => {
    await addRunner("--labels", "linux,x64", "--sandbox", "host");
    await expectGreen();
    await addRunner("--name", "blue", "--labels", "linux,blue", "--sandbox", "host");
    expect(await machine.sh("shipfox runners list")).toMatch(/blue/);
  });

  it("installs a provisioner from the control plane, whose token is in a file of root; its machine runs a job", async () => {
    await machine.put(PROVIDER, "/opt/");
    await machine.sh("cat >/root/templates.yaml", TEMPLATES);
    const token = await machine.sh("shipfox provisioners tokens create here --token-file /root/token; cat /root/token");
    const line = `curl -fsSL ${URL}/install.sh | sh -s -- provisioner --url ${URL} --templates /root/templates.yaml`;
    const without = await machine.try(line);
    expect([without.code, without.stderr]).toEqual([3, expect.stringContaining("sf_pt_")]);
    await machine.sh("echo 'templates: {}' >/root/wrong.yaml");
    const wrong = await machine.try(`${line.replace("templates.yaml", "wrong.yaml")} --token-file /root/token`);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("nothing was changed")]);
    expect(await machine.listing()).not.toContain("shipfox-provisioner.service");
    expect(await machine.sh(`${line} --token-file /root/token --dry-run`)).toContain("/etc/shipfox/templates.yaml");
    expect(await machine.sh(`${line} --token-file /root/token 2>&1`)).toContain("shipfox-provisioner");
    expect(await machine.sh("stat -c '%a %U' /etc/shipfox/provisioner.token")).toBe("600 root");
    await machine.sh("rm /root/token");
    const seen = await machine.sh("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'");
    expect(seen).not.toContain(/sf_pt_\S+/.exec(token)?.[0] ?? "");
    await machine.sh(
      `mkdir -p ${REPOSITORY}/.shipfox/workflows; cd ${REPOSITORY}; git init --quiet --initial-branch=main`,
    );
    for (const [name, text] of Object.entries(WORKFLOWS))
      await machine.sh(`cat >${REPOSITORY}/.shipfox/workflows/${name}.yml`, text);
    await machine.sh(`cd ${REPOSITORY}; git add .; git -c user.name=Ada -c user.email=ada@example.com commit --quiet -m Proof
      chown -R shipfox-control-plane: .; shipfox projects create --repo ${REPOSITORY} --name proof`);
    await expectGreen("fleet --project proof");
  });

  it("has commands by which root finds the installed services, and which leave nothing of root's there", async () => {
    for (const [command, answer] of [
      ["shipfox-control-plane doctor", "/var/lib/shipfox/control-plane"],
      ["shipfox-control-plane backup /root/backup", "/root/backup"],
      ["shipfox-control-plane recover you@example.com", URL],
      ["shipfox-provisioner status", "healthy"],
      ["shipfox-runner status", "healthy"],
    ] as const) {
      const { stdout, stderr } = await machine.try(command);
      const file = `/etc/shipfox/${/^shipfox-(\S+)/.exec(command)?.[1]}.env`;
      expect([command, stdout, stderr]).toEqual([
        command,
        expect.stringContaining(answer),
        expect.stringContaining(file),
      ]);
    }
    expect(await machine.sh("shipfox-control-plane verify /root/backup")).toContain("is whole");
    for (const part of ["control-plane", "provisioner", "runner"])
      expect(await machine.sh(`find /var/lib/shipfox/${part} ! -user shipfox-${part}`)).toBe("");
  });

  it("changes nothing when it is repeated", async () => {
    const [before, listing] = [await Promise.all(SERVICES.map(pidOf)), await machine.listing()];
    const again = await machine.sh(`cd; ${COMMANDS[0]} 2>&1`);
    expect(again).toContain("there is an account already");
    await install("now", "control-plane", "--from", "/srv/now");
    await install("now", "runner", "--url", URL, "--labels", "linux,x64");
    await install("now", "provisioner", "--url", URL, "--templates", "/root/templates.yaml");
    expect(await Promise.all(SERVICES.map(pidOf))).toEqual(before);
    const kept = (text: string) => text.replaceAll(/^.* \S*\/var\/(lib\/shipfox|cache)\/.*\n/gm, "");
    expect(kept(await machine.listing())).toBe(kept(listing));
  });

  it("has services that come back when they are killed", async () => {
    const killed = await Promise.all(SERVICES.map(pidOf));
    await machine.sh(`kill -9 ${killed.join(" ")}`);
    for (const [index, service] of SERVICES.entries()) {
      await eventually(`${service} runs again`, async () => {
        const state = await machine.try(`systemctl is-active ${service}`);
        return state.code === 0 && (await pidOf(service)) !== killed[index];
      });
    }
    await expectGreen();
  });

  it("upgrades everything while jobs run, of which each ends well and none runs twice", async () => {
    await machine.sh(
      `echo SHIPFOX_RUNNER_CONCURRENCY=${JOBS} >>/etc/shipfox/runner.env; systemctl reload shipfox-runner`,
    );
    // As an older installer, and a person, may have left them.
    await machine.sh(`sed -i '/_DIR=.var.lib/d; s/^SHIPFOX_API_URL=\\(.*\\)/SHIPFOX_API_URL="\\1"/' /etc/shipfox/*.env
      printf 'HOST="localhost"\nPORT="16101"' >>/etc/shipfox/control-plane.env`);
    const run = machine.try("shipfox run gated --project proof --follow");
    await eventually("all jobs run", async () => {
      return (await machine.sh("ls /tmp/began-* 2>/dev/null | wc -l")) === String(JOBS);
    });
    expect(await install("next", "upgrade control-plane", "--from", "/srv/next")).toContain(
      `${VERSION} became ${NEXT}`,
    );
    expect(await machine.sh("shipfox-control-plane --version")).toBe(NEXT);
    expect(await install("next", "upgrade provisioner")).toContain(`provisioner: ${VERSION} became ${NEXT}`);
    const upgraded = install("next", "upgrade runner");
    await eventually("the runner drains", async () => {
      return (await machine.try("systemctl is-active shipfox-runner")).stdout === "deactivating";
    });
    await machine.sh("touch /tmp/gate");
    expect(await upgraded).toContain(`runner: ${VERSION} became ${NEXT}`);
    for (const service of SERVICES) await machine.sh(`systemctl is-active ${service}`);
    expect(await machine.sh("cat /etc/shipfox/*.env | grep _DIR=/var/lib/shipfox/ | sort")).toBe(
      [
        "SHIPFOX_DATA_DIR=/var/lib/shipfox/control-plane",
        "SHIPFOX_PROVISIONER_STATE_DIR=/var/lib/shipfox/provisioner",
        "SHIPFOX_RUNNER_STATE_DIR=/var/lib/shipfox/runner",
        "SHIPFOX_RUNNER_STATE_DIR=/var/lib/shipfox/runner-blue",
      ].join("\n"),
    );
    const { code, stdout } = await run;
    expect({ code, output: code === 0 ? "" : stdout }).toEqual({ code: 0, output: "" });
    const ended = (await machine.sh("sort -n /tmp/ended")).split("\n").map(Number);
    expect(ended).toEqual(Array.from({ length: JOBS }, (_, index) => index));
    await expectGreen("fleet --project proof");
  });

  it("goes back to the old version when the new one is not healthy", async () => {
    const name = `shipfox-control-plane-${NEXT}-linux-${process.arch}`;
    const broken = name.replace(NEXT, BROKEN);
    await machine.sh(`mkdir -p /srv/broken; cd /srv/broken; tar -xzf /srv/next/${name}.tar.gz; mv ${name} ${broken}
      printf '%s\\n' 'if (process.argv[2] === "--version") console.log("${BROKEN}"); else if (process.argv[2] !== "migrate") process.exit(1);' >${broken}/lib/main.mjs
      tar -cf - ${broken} | gzip -1 >${broken}.tar.gz; sha256sum ${broken}.tar.gz >SHA256SUMS`);
    const before = await given();
    expect(before).toContain(`shipfox-runner-${NEXT}-linux-`);
    const { code, stderr } = await machine.try("sh /srv/next/install.sh upgrade control-plane --from /srv/broken");
    expect([code, stderr]).toEqual([1, expect.stringContaining(`going back to ${NEXT}`)]);
    expect(await given()).toBe(before);
    expect(await machine.sh("shipfox-control-plane --version")).toBe(NEXT);
    await expectGreen();
  });

  it("refuses an older control plane for a newer database, which goes on, and takes an older runner", async () => {
    const before = [await pidOf("shipfox-control-plane"), await given()];
    const { code, stderr } = await machine.try("sh /srv/now/install.sh upgrade control-plane --from /srv/now");
    expect([code, stderr]).toEqual([1, expect.stringMatching(/schema version 9999[^]*was not touched/)]);
    expect([await pidOf("shipfox-control-plane"), await given()]).toEqual(before);
    const older = await install("now", "upgrade runner", "--from", "/srv/now");
    expect(older).toContain(`runner: ${NEXT} became ${VERSION}`);
    await expectGreen();
  });

  it("comes back when the machine starts anew", async () => {
    await machine.reboot();
    for (const service of SERVICES)
      await eventually(`${service} runs`, async () => (await machine.try(`systemctl is-active ${service}`)).code === 0);
    await expectGreen();
  });

  it("removes everything, to the last file", async () => {
    await install("now", "uninstall runner --purge");
    await machine.sh(`systemctl is-active shipfox-runner@blue`);
    expect(await install("next", "upgrade runner")).toContain(`runner: ${VERSION} became ${NEXT}`);
    await install("now", "uninstall runner --name blue");
    expect(await machine.sh("cat /etc/shipfox/runner-blue.env /var/lib/shipfox/runner-blue/credential.json")).toContain(
      URL,
    );
    await install("now", "uninstall runner --name blue --purge");
    const drained = await machine.sh(
      "SHIPFOX_PROVISIONER_TOKEN_FILE=/nowhere sh /srv/now/install.sh uninstall provisioner --purge 2>&1",
    );
    expect(drained).toContain("draining shipfox-provisioner");
    expect(drained).not.toContain("not all of its machines");
    for (const part of ["control-plane", "cli"]) await install("now", `uninstall ${part} --purge`);
    await machine.sh("rm /opt/provider.mjs");
    expect((await machine.listing()).split("\n")).toEqual(pristine.split("\n"));
  });

  it("makes the first account of a control plane at an address of the network", async () => {
    const address = (await machine.sh("hostname -I")).split(" ")[0] ?? "";
    const flags = ["--from", "/srv/now", "--listen", `${address}:16199`, "--admin", "you@example.com"];
    const installed = await install("now", "control-plane", ...flags);
    expect(installed).toContain("you@example.com is signed in");
    expect(installed).toContain(`http://${address}:16199/install.sh`);
    for (const part of ["control-plane", "cli"]) await install("now", `uninstall ${part} --purge`);
    expect((await machine.listing()).split("\n")).toEqual(pristine.split("\n"));
  });
});
