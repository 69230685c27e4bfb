import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ProviderError } from "../driver.ts";
import { SHUT_METADATA, userData } from "./user-data.ts";

const HOUR_MS = 3_600_000;
const ASK_LIMIT_MS = 30_000;
const boot = { registrationToken: "sf_ert_secret", runnerEnv: { SHIPFOX_API_URL: "https://ci.example.com" } };

function parsed(text: string) {
  expect(text).toMatch(/^#cloud-config\n/);
  return JSON.parse(text.slice("#cloud-config\n".length));
}

describe("[hetzner] the user data", () => {
  it("puts the runner's files in place for root only, bounds the life of the machine, then starts the runner", () => {
    const { bootcmd, write_files: files, runcmd } = parsed(userData({ boot, maxLifetimeMs: 2 * HOUR_MS + 1 }));
    expect(bootcmd).toEqual([SHUT_METADATA]);
    expect(files).toMatchObject([
      { path: "/etc/shipfox/runner.env", permissions: "0600", owner: "root:root", encoding: "b64" },
      { path: "/etc/shipfox/registration-token", permissions: "0600", owner: "root:root", encoding: "b64" },
    ]);
    expect(Buffer.from(files[1].content, "base64").toString()).toBe("sf_ert_secret\n");
    expect(runcmd).toEqual([
      ["systemd-run", "--quiet", "--unit=shipfox-lifetime", "--on-active=7201s", "systemctl", "--force", "poweroff"],
      ["systemctl", "start", "--no-block", "shipfox-runner-once.service"],
    ]);
  });

  it("is refused when it is more than the API takes", () => {
    const large = { ...boot, runnerEnv: { LARGE: "x".repeat(30_000) } };
    expect(() => userData({ boot: large, maxLifetimeMs: HOUR_MS })).toThrow(ProviderError);
  });
});

/** Asks its own metadata service, shuts it, and asks again. */
const ASK_TWICE = `
const { execFileSync } = require("node:child_process");
const { createServer, get } = require("node:http");
const ask = () => new Promise((done) =>
  get("http://169.254.169.254/hetzner/v1/userdata", { agent: false, localAddress: "127.0.0.1" }, (answer) => answer.resume().on("end", () => done("answered")))
    .on("error", (error) => done(error.code)));
const server = createServer((_request, response) => response.end("token")).listen(80, "169.254.169.254", async () => {
  const before = await ask();
  const [program, ...args] = JSON.parse(process.env.SHUT);
  execFileSync(program, args);
  console.log(before, await ask());
  server.close();
  server.closeAllConnections();
});
`;

describe("[hetzner] the machine's metadata service", () => {
  let programs: string;
  beforeEach(async () => {
    programs = await mkdtemp(join(tmpdir(), "hetzner-user-data-"));
    // Nothing here may turn this machine off.
    await program("systemctl", `echo "$@" > ${programs}/said`);
  });
  afterEach(() => rm(programs, { recursive: true }));

  async function program(name: string, script: string): Promise<void> {
    await writeFile(join(programs, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(programs, name), 0o755);
  }
  const env = () => ({ PATH: `${programs}:${process.env["PATH"]}`, SHUT: JSON.stringify(SHUT_METADATA) });
  const said = () => readFile(join(programs, "said"), "utf8");

  it.each([
    ["with nft, or without it with iptables", ""],
    ["with iptables", "exit 1"],
  ])("is shut %s", async (_with, nft) => {
    if (nft !== "") await program("nft", nft);
    const setUp = `ip link set lo up && ip address add 169.254.169.254/32 dev lo && exec "$0" -e "$1"`;
    const command = ["--net", "sh", "-c", setUp, process.execPath, ASK_TWICE];
    const { stdout } = await execa("unshare", command, { env: env(), timeout: ASK_LIMIT_MS });
    expect(stdout).toBe("answered ECONNREFUSED");
    await expect(said()).rejects.toThrow("ENOENT");
  });

  it("takes the machine with it where it cannot be shut", async () => {
    for (const name of ["nft", "iptables", "ip6tables"]) await program(name, "exit 1");
    const [shell, ...args] = SHUT_METADATA;
    await execa(shell, args, { env: env() });
    expect(await said()).toBe("--force poweroff\n");
  });
});
