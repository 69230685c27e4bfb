import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StandInJobs } from "../control-plane/stand-in-jobs.fixture.ts";
import { StandInPlane } from "../control-plane/stand-in-plane.fixture.ts";
import { startRunnerProcess } from "../runner-process.fixture.ts";
import { statusSchema } from "./status.ts";

const MRT = `sf_mrt_${"c".repeat(43)}`;

let root: string;
let file: string;
let plane: StandInPlane;
let jobs: StandInJobs;
let started: ReturnType<typeof startRunnerProcess>[];

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "shipfox-operate-"));
  chmodSync(root, 0o711);
  file = join(root, "runner.env");
  plane = new StandInPlane();
  await plane.start();
  jobs = new StandInJobs(plane);
  started = [];
  plane.on(/^PATCH \/runners\/session$/, () => ({ status: 204 }));
});

afterEach(async () => {
  for (const { child } of started) child.kill("SIGKILL");
  await Promise.all(started.map(({ exit }) => exit));
  await plane.stop();
  rmSync(root, { recursive: true, force: true });
});

function run(args: readonly string[], env: Record<string, string> = {}) {
  const state = join(root, "state");
  const one = startRunnerProcess(args, { HOME: root, SHIPFOX_RUNNER_STATE_DIR: state, ...env });
  started.push(one);
  return one;
}

/** A runner whose labels and concurrency stand in a file. */
async function startRunner(lines: string, env: Record<string, string> = {}) {
  configure(lines);
  const runner = run(["--config-file", file], { SHIPFOX_RUNNER_REGISTRATION_TOKEN: MRT, ...env });
  await jobs.until(() => jobs.parkedClaims === 1);
  return runner;
}

function configure(lines: string): void {
  writeFileSync(file, `SHIPFOX_API_URL=${plane.url}\nSHIPFOX_RUNNER_SANDBOX=host\n${lines}\n`);
}

async function command(...args: string[]) {
  const one = run(args);
  return { status: await one.exit, ...one.output };
}

async function readStatus() {
  return statusSchema.parse(JSON.parse((await command("status", "--json")).stdout));
}

/** Two of them, so that one can be let go after the other. */
const waitFor = (name: string) => ({
  config: { run: `echo started; until [ -e ${root}/${name} ]; do sleep 0.05; done` },
});
const letGo = (name: string) => writeFileSync(join(root, name), "");
const patches = () =>
  plane.requests.filter(({ method }) => method === "PATCH").map(({ body }) => JSON.parse(body.toString()));

describe("status", () => {
  it("tells what the runner is and does, to its own user only", async () => {
    await startRunner("SHIPFOX_RUNNER_LABELS=linux,big\nSHIPFOX_RUNNER_CONCURRENCY=2");
    const job = jobs.enqueue([waitFor("go")]);
    await jobs.until(() => jobs.output(job).includes("started\n"));
    expect(await readStatus()).toMatchObject({
      health: { state: "healthy", reason: null },
      ready: true,
      labels: ["big", "linux"],
      concurrency: 2,
      session: { id: expect.any(String) },
      last_contact_at: expect.any(String),
      jobs: [{ job_id: job.id, workflow: "ci", run_number: 7, job: "build", step: { name: "step 1" } }],
      warm: null,
      guard: { state: "running", pid: expect.any(Number) },
    });
    const { status, stdout } = await command("status");
    expect(status).toBe(0);
    expect(stdout).toMatch(/health +healthy/);
    expect(stdout).toMatch(/demo \/ ci #7 +build +\d+s +step 1 /);
    expect(statSync(join(root, "state", "run")).mode & 0o777).toBe(0o700);
    expect(statSync(join(root, "state", "run", "control.sock")).mode & 0o777).toBe(0o600);
    letGo("go");
    await jobs.until(() => jobs.reports.length === 2);
  });

  it("says with its exit status that no runner is running, also after one was killed", async () => {
    expect(await command("status")).toMatchObject({ status: 4, stderr: expect.stringContaining("--state-dir") });
    const runner = await startRunner("");
    runner.child.kill("SIGKILL");
    await runner.exit;
    expect(await command("status")).toMatchObject({ status: 4 });
    run(["--config-file", file]);
    await jobs.until(() => jobs.registrations.length === 2 && jobs.parkedClaims === 1);
    expect((await command("status")).status).toBe(0);
  });

  it.each(["status", "drain", "doctor"])("explains %s, with examples and exit statuses", async (name) => {
    const { status, stdout } = await command(name, "--help");
    expect(status).toBe(0);
    expect(stdout).toMatch(/Usage: shipfox-runner [^]+Examples:[^]+Exit status:/);
  });
});

describe("drain", () => {
  it("lets the running job finish, shows what is left, and tells the end", async () => {
    const runner = await startRunner("");
    const job = jobs.enqueue([waitFor("go")]);
    await jobs.until(() => jobs.output(job).includes("started\n"));
    const drain = run(["drain"]);
    await drain.printed(/1 job left: build \(step 1\)/);
    expect(await command("drain", "--wait", "0")).toMatchObject({ status: 0 });
    expect(await command("drain", "--wait", "0.2")).toMatchObject({
      status: 3,
      stderr: expect.stringContaining("goes on"),
    });
    expect(await readStatus()).toMatchObject({ health: { state: "draining" }, ready: false });
    letGo("go");
    expect(await drain.exit).toBe(0);
    expect(drain.output.stdout).toContain("drained: the runner has ended");
    expect(await runner.exit).toBe(0);
    expect(jobs.reports.at(-1)).toMatchObject({ status: "succeeded" });
  });

  it("goes on when its watcher is interrupted, and says when the runner went away otherwise", async () => {
    const runner = await startRunner("");
    const job = jobs.enqueue([waitFor("never")]);
    await jobs.until(() => jobs.output(job).includes("started\n"));
    const watcher = run(["drain", "--json"]);
    await watcher.printed(/"state":"draining"/);
    watcher.child.kill("SIGINT");
    expect(await watcher.exit).toBe(130);
    expect((await readStatus()).health.state).toBe("draining");
    const second = run(["drain", "--json"]);
    await second.printed(/"state":"draining"/);
    runner.child.kill("SIGKILL");
    expect(await second.exit).toBe(1);
    expect(second.output.stdout).toContain('{"state":"ended","exit_status":null}');
  });
});

describe("SIGHUP", () => {
  it("takes over labels and concurrency without a word to the running job", async () => {
    const runner = await startRunner("SHIPFOX_RUNNER_LABELS=linux");
    const first = jobs.enqueue([waitFor("go")]);
    await jobs.until(() => jobs.output(first).includes("started\n"));
    configure("SHIPFOX_RUNNER_LABELS=linux,gpu\nSHIPFOX_RUNNER_CONCURRENCY=2\nSHIPFOX_RUNNER_NAME=other");
    runner.child.kill("SIGHUP");
    await runner.printed(/the control plane knows the new labels/);
    await runner.printed(/SHIPFOX_RUNNER_NAME.*they count from the next start|settings.*SHIPFOX_RUNNER_NAME/);
    expect(patches()).toEqual([{ labels: ["gpu", "linux"] }]);
    const second = jobs.enqueue([waitFor("go")]);
    await jobs.until(() => jobs.output(second).includes("started\n"));
    expect(jobs.registrations).toHaveLength(1);
    letGo("go");
    await jobs.until(() => jobs.reports.length === 4);
    expect(jobs.reports.every(({ status }) => status === "succeeded")).toBe(true);
    expect(jobs.releases).toEqual([]);
  });

  it("changes nothing when the file is wrong, and says why", async () => {
    const runner = await startRunner("SHIPFOX_RUNNER_LABELS=linux");
    configure("SHIPFOX_RUNNER_LABLES=gpu\nSHIPFOX_RUNNER_CONCURRENCY=9");
    runner.child.kill("SIGHUP");
    await runner.printed(/line 3: SHIPFOX_RUNNER_LABLES is not a setting/);
    expect(await readStatus()).toMatchObject({ labels: ["linux"], concurrency: 1 });
    expect(patches()).toEqual([]);
  });

  it("finishes what runs and takes less when the concurrency is lowered, also with a claim under way", async () => {
    const runner = await startRunner("SHIPFOX_RUNNER_CONCURRENCY=3");
    const running = [jobs.enqueue([waitFor("a")]), jobs.enqueue([waitFor("b")])];
    await jobs.until(() => running.every((job) => jobs.output(job).includes("started\n")) && jobs.parkedClaims === 1);
    configure("SHIPFOX_RUNNER_CONCURRENCY=1");
    runner.child.kill("SIGHUP");
    // The parked claim is given up, and asked about once more: it may just have been answered with a job.
    await jobs.until(() => plane.requests.some(({ query }) => query.get("wait_seconds") === "0"));
    letGo("a");
    await jobs.until(() => jobs.reports.length === 3);
    expect(await readStatus()).toMatchObject({ concurrency: 1, jobs: [{ job_id: running[1]?.id }] });
    const next = jobs.enqueue([{ config: { run: "echo next" } }]);
    expect((await readStatus()).jobs).toHaveLength(1);
    expect(jobs.output(next)).toBe("");
    letGo("b");
    await jobs.until(() => jobs.output(next).includes("next\n"));
    expect(jobs.releases).toEqual([]);
  });

  it("tells the labels again after an outage, the newest only", async () => {
    const runner = await startRunner("SHIPFOX_RUNNER_LABELS=linux");
    let isAway = true;
    plane.on(/^PATCH \/runners\/session$/, () => ({ status: isAway ? 503 : 204 }));
    configure("SHIPFOX_RUNNER_LABELS=one");
    runner.child.kill("SIGHUP");
    await runner.printed(/"labels":\["one"\].*"reloaded"/);
    configure("SHIPFOX_RUNNER_LABELS=two");
    runner.child.kill("SIGHUP");
    await runner.printed(/"labels":\["two"\].*"reloaded"/);
    isAway = false;
    await runner.printed(/the control plane knows the new labels/);
    expect(patches().at(-1)).toEqual({ labels: ["two"] });
  });
});

describe("metrics and health", () => {
  const get = async (port: string, path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, text: await response.text() };
  };

  it("serves them on loopback: counters with bounded labels, ready while it takes jobs", async () => {
    const runner = await startRunner("", { SHIPFOX_RUNNER_METRICS_PORT: "0" });
    const port = (await runner.printed(/"host":"127\.0\.0\.1","port":(\d+)/))[1] ?? "";
    jobs.enqueue([{ config: { run: "echo hello" } }]);
    await jobs.until(() => jobs.reports.length === 2 && jobs.parkedClaims === 1);
    const metrics = await get(port, "/metrics");
    expect(metrics.text).toMatch(/^shipfox_runner_jobs_total\{outcome="finished"\} 1$/m);
    expect(metrics.text).toMatch(/^shipfox_runner_claim_wait_seconds_count 1$/m);
    expect(metrics.text).toMatch(/^shipfox_runner_log_bytes_sent_total [1-9]/m);
    expect(metrics.text).not.toMatch(/job_id|run_id/);
    for (const line of metrics.text.trim().split("\n"))
      expect(line).toMatch(/^(# (HELP|TYPE) .+|shipfox_runner_[a-z_]+(\{[a-z]+="[^"]*"\})? -?[0-9.e+-]+)$/);
    expect(await get(port, "/healthz")).toEqual({ status: 200, text: "healthy\n" });
    expect(await get(port, "/readyz")).toEqual({ status: 200, text: "ready\n" });
    expect((await get(port, "/else")).status).toBe(404);
    const job = jobs.enqueue([waitFor("go")]);
    await jobs.until(() => jobs.output(job).includes("started\n"));
    runner.child.kill("SIGTERM");
    await runner.printed(/draining: no more jobs/);
    expect(await get(port, "/healthz")).toEqual({ status: 200, text: "draining\n" });
    expect((await get(port, "/readyz")).status).toBe(503);
    letGo("go");
    expect(await runner.exit).toBe(0);
  });

  it("says that it is unhealthy while it cannot make sandboxes, and why", async () => {
    writeFileSync(file, `SHIPFOX_API_URL=${plane.url}\nDOCKER_HOST=unix://${root}/no.sock\n`);
    const env = { SHIPFOX_RUNNER_METRICS_PORT: "0", SHIPFOX_RUNNER_REGISTRATION_TOKEN: MRT };
    const runner = run(["--config-file", file], env);
    const port = (await runner.printed(/"host":"127\.0\.0\.1","port":(\d+)/))[1] ?? "";
    await runner.printed(/Docker does not answer.*No sandbox can be made until then/);
    const health = await get(port, "/healthz");
    expect(health).toEqual({ status: 503, text: expect.stringMatching(/^unhealthy: .*Docker does not answer/) });
    expect((await get(port, "/metrics")).text).toMatch(/^shipfox_runner_healthy 0$/m);
    const status = await command("status");
    expect(status.status).toBe(3);
    expect(status.stdout).toMatch(/health +unhealthy: sandboxes cannot be made: Docker does not answer/);
    expect(await command("drain")).toMatchObject({ status: 0 });
  });

  it("does not start on a port that is taken, with the setting to change", async () => {
    const port = plane.url.split(":").at(-1) ?? "";
    configure("");
    const runner = run(["--config-file", file, "--metrics-port", port], { SHIPFOX_RUNNER_REGISTRATION_TOKEN: MRT });
    expect(await runner.exit).toBe(78);
    expect(runner.output.stderr).toContain("Set SHIPFOX_RUNNER_METRICS_PORT to a free port");
  });
});
