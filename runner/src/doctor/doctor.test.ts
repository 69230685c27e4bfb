import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StandInPlane } from "../control-plane/stand-in-plane.fixture.ts";
import { startRunnerProcess } from "../runner-process.fixture.ts";

const ID = "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11";
const MRT = `sf_mrt_${"e".repeat(43)}`;
const isRoot = process.getuid?.() === 0;

let root: string;
let plane: StandInPlane;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "shipfox-doctor-"));
  chmodSync(root, 0o711);
  plane = new StandInPlane();
  await plane.start();
  plane.on(/^GET \/healthz$/, () => ({ status: 200, json: { status: "ok" } }));
  plane.on(/^GET \/runners\/credential$/, ({ token }) =>
    token === MRT
      ? { status: 200, json: { kind: "registration_token", workspace_id: ID, expires_at: null } }
      : { status: 401, json: { code: "unauthorized", message: "the credential is not known here" } },
  );
});

afterEach(async () => {
  await plane.stop();
  rmSync(root, { recursive: true, force: true });
});

interface Finding {
  state: string;
  message: string;
  fix?: string;
}

/** What a real `doctor --json` says, by the name of the check. */
async function examine(env: Record<string, string> = {}) {
  const doctor = startRunnerProcess(["doctor", "--json"], {
    HOME: root,
    SHIPFOX_API_URL: plane.url,
    SHIPFOX_RUNNER_REGISTRATION_TOKEN: MRT,
    SHIPFOX_RUNNER_SANDBOX: "host",
    SHIPFOX_RUNNER_STATE_DIR: join(root, "state"),
    ...env,
  });
  const status = await doctor.exit;
  const { ok, checks } = JSON.parse(doctor.output.stdout) as { ok: boolean; checks: (Finding & { name: string })[] };
  for (const check of checks) expect([check.name, check.fix === undefined]).toEqual([check.name, check.state === "ok"]);
  expect(ok).toBe(status === 0);
  expect(doctor.output.stdout + doctor.output.stderr).not.toContain(MRT);
  return { status, of: (name: string) => checks.find((check) => check.name === name) };
}

describe("doctor", () => {
  it("finds nothing that has failed where all is well, and leaves no trace", async () => {
    const { status, of } = await examine();
    expect(status).toBe(0);
    for (const name of ["dns", "tls", "control plane", "clock", "credential", "state folder", "work disk", "git"])
      expect([name, of(name)?.state]).toEqual([name, "ok"]);
    expect(plane.requests.every(({ method }) => method === "GET")).toBe(true);
    expect(() => readFileSync(join(root, "state"))).toThrow(/ENOENT/);
  });

  it("shows a table with what to do, without colours in a pipe", async () => {
    const doctor = startRunnerProcess(["doctor"], {
      SHIPFOX_API_URL: plane.url,
      SHIPFOX_RUNNER_SANDBOX: "host",
      SHIPFOX_RUNNER_STATE_DIR: join(root, "state"),
    });
    expect(await doctor.exit).toBe(1);
    expect(doctor.output.stdout).toMatch(/fail +credential +there is none for/);
    expect(doctor.output.stdout).toMatch(/What to do:\n[^]*fail {2}credential: Make a registration token/);
    expect(doctor.output.stdout).toMatch(/1 failed, \d+ warnings?, \d+ ok/);
    expect(doctor.output.stdout).not.toContain("\u001b");
  });

  it("tells a refused token and a refused credential", async () => {
    const wrong = await examine({ SHIPFOX_RUNNER_REGISTRATION_TOKEN: `sf_mrt_${"f".repeat(43)}` });
    expect([wrong.status, wrong.of("credential")?.message]).toEqual([
      1,
      "the registration token is refused: the credential is not known here",
    ]);
    mkdirSync(join(root, "state"), { mode: 0o700 });
    const file = join(root, "state", "credential.json");
    writeFileSync(file, JSON.stringify({ api_url: plane.url, runner_id: ID, runner_token: "sf_rt_x" }), {
      mode: 0o600,
    });
    const own = await examine();
    expect(own.of("credential")).toMatchObject({ state: "fail", fix: expect.stringContaining("credential.json") });
    chmodSync(file, 0o644);
    expect((await examine()).of("state folder")).toMatchObject({
      state: "fail",
      fix: expect.stringContaining("chmod 600"),
    });
    writeFileSync(file, "{");
    expect((await examine()).of("credential")?.message).toMatch(/damaged/);
  });

  it.each([
    ["agrees", 0, "ok"],
    ["is a little off", 20_000, "warn"],
    ["is far ahead", 3_600_000, "fail"],
    ["is far behind", -3_600_000, "fail"],
  ])("compares the clocks: the plane's %s", async (_what, shiftMs, state) => {
    plane.on(/^GET \/healthz$/, () => ({
      status: 200,
      headers: { date: new Date(Date.now() + shiftMs).toUTCString() },
    }));
    const { of } = await examine();
    expect(of("clock")?.state).toBe(state);
    if (state === "fail")
      expect(of("clock")?.message).toMatch(shiftMs > 0 ? /3\d{3}\.\d s behind/ : /3\d{3}\.\d s ahead/);
  });

  it("tells a name without an address, a closed port and a stranger apart", async () => {
    const nameless = await examine({ SHIPFOX_API_URL: "http://shipfox.invalid" });
    expect(nameless.of("dns")).toMatchObject({ state: "fail", fix: expect.stringContaining("name servers") });
    const { url } = plane;
    plane.on(/^GET \/healthz$/, () => ({ status: 404 }));
    expect((await examine()).of("control plane")?.message).toMatch(/not as a Shipfox control plane/);
    await plane.stop();
    const closed = await examine({ SHIPFOX_API_URL: url });
    expect(closed.of("control plane")).toMatchObject({
      state: "fail",
      message: expect.stringContaining("ECONNREFUSED"),
    });
    expect(closed.of("clock")).toMatchObject({ state: "warn", fix: 'See "control plane".' });
    await plane.start();
  });

  it("accepts a certificate authority of one's own only when it is told", async () => {
    const [key, certificate] = [join(root, "key.pem"), join(root, "certificate.pem")];
    execFileSync("openssl", [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3 -subj /CN=localhost".split(" "),
      ..."-addext subjectAltName=DNS:localhost -keyout".split(" "),
      key,
      "-out",
      certificate,
    ]);
    const server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (_request, response) =>
      response.end("{}"),
    );
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    const env = { SHIPFOX_API_URL: `https://localhost:${(server.address() as AddressInfo).port}` };
    try {
      expect((await examine(env)).of("tls")).toMatchObject({
        state: "fail",
        fix: expect.stringContaining("SHIPFOX_RUNNER_CA_FILE"),
      });
      const trusted = await examine({ ...env, SHIPFOX_RUNNER_CA_FILE: certificate });
      expect(trusted.of("tls")).toMatchObject({ state: "warn", message: expect.stringMatching(/ends in [12] days/) });
      expect(trusted.of("control plane")?.state).toBe("ok");
    } finally {
      server.close();
    }
  });

  it.runIf(isRoot)("tells a disk that is full and one that has no inodes left", async () => {
    const folder = join(root, "small");
    mkdirSync(folder);
    const mount = (options: string) => spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]).status === 0;
    for (const [options, message] of [
      ["size=1m", /at least 128\.0 MiB is needed/],
      ["size=2g,nr_inodes=100", /\d+ of 100 inodes free/],
    ] as const) {
      if (!mount(options)) return;
      try {
        const { status, of } = await examine({ SHIPFOX_RUNNER_STATE_DIR: folder });
        expect(status).toBe(1);
        expect(of("state disk")).toMatchObject({
          state: "fail",
          message: expect.stringMatching(message),
          fix: expect.stringContaining("SHIPFOX_RUNNER_STATE_DIR"),
        });
      } finally {
        spawnSync("umount", [folder]);
      }
    }
  });

  it("tells a state folder that others may write to, and one that is a file", async () => {
    const state = join(root, "state");
    mkdirSync(state);
    chmodSync(state, 0o777);
    expect((await examine()).of("state folder")).toMatchObject({
      state: "fail",
      fix: expect.stringContaining("chmod go-w"),
    });
    rmSync(state, { recursive: true });
    writeFileSync(state, "");
    expect((await examine()).of("state folder")?.message).toMatch(/is not a folder/);
  });

  it("tells a hook that others can change, and one that cannot be run", async () => {
    const hook = join(root, "pre-job");
    writeFileSync(hook, "#!/bin/sh\n", { mode: 0o755 });
    expect((await examine({ SHIPFOX_RUNNER_PRE_JOB_HOOK: hook })).of("pre-job hook")?.state).toBe("ok");
    chmodSync(hook, 0o777);
    expect((await examine({ SHIPFOX_RUNNER_PRE_JOB_HOOK: hook })).of("pre-job hook")).toMatchObject({
      state: "fail",
      message: `${hook} can be written by others`,
    });
    const gone = await examine({ SHIPFOX_RUNNER_POST_JOB_HOOK: join(root, "none") });
    expect([gone.status, gone.of("post-job hook")?.state]).toEqual([1, "fail"]);
  });

  it("tells a git that is missing and one that is too old", async () => {
    const programs = join(root, "bin");
    mkdirSync(programs);
    expect((await examine({ PATH: programs })).of("git")?.message).toBe("git is not installed");
    writeFileSync(join(programs, "git"), "#!/bin/sh\necho git version 2.30.9\n", { mode: 0o755 });
    expect((await examine({ PATH: programs })).of("git")).toMatchObject({
      state: "fail",
      message: "git 2.30 is too old",
    });
  });

  it("tells an engine that is not there once, and what depends on it as unknown", async () => {
    const { status, of } = await examine({
      SHIPFOX_RUNNER_SANDBOX: "docker",
      DOCKER_HOST: `unix://${join(root, "no.sock")}`,
    });
    expect(status).toBe(1);
    expect(of("docker")).toMatchObject({ state: "fail", fix: expect.stringContaining("DOCKER_HOST") });
    for (const name of ["docker mode", "docker storage", "image", "job networks"])
      expect([name, of(name)?.state]).toEqual([name, "warn"]);
  });
});
