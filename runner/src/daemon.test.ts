import { randomUUID } from "node:crypto";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@shipfox/shared/logger";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControlPlaneClient } from "./control-plane/client.ts";
import { StandInJobs } from "./control-plane/stand-in-jobs.fixture.ts";
import { StandInPlane } from "./control-plane/stand-in-plane.fixture.ts";
import { Daemon } from "./daemon.ts";
import { DiskWatch } from "./disk/disk-watch.ts";
import { Monitor } from "./operate/monitor.ts";
import type { Guard } from "./guard/guard-process.ts";
import { startTestGuard } from "./guard/test-guard.fixture.ts";
import { register } from "./registration.ts";
import { HostProvider } from "./sandbox/host/host-provider.ts";
import { SandboxError } from "./sandbox/sandbox-error.ts";
import { StateFolder } from "./state-folder.ts";
import { Mirrors } from "./workspace/mirror.ts";

const MRT = `sf_mrt_${"a".repeat(43)}`;
const logger = createLogger("test", "silent");

let root: string;
let plane: StandInPlane;
let jobs: StandInJobs;
let client: ControlPlaneClient;
let guard: Guard;
let provider: HostProvider;
let state: StateFolder;
let daemon: Daemon;
/** The disks of this machine are what they are; a test moves what is asked of them. */
let diskFloor: { bytes: number; inodes: number };

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "shipfox-daemon-"));
  chmodSync(root, 0o711);
  plane = new StandInPlane();
  await plane.start();
  jobs = new StandInJobs(plane);
  client = new ControlPlaneClient({ baseUrl: plane.url });
  state = StateFolder.open(join(root, "state"));
  guard = await startTestGuard({ baseUrl: plane.url });
  provider = new HostProvider({ workRoot: join(root, "work"), runnerId: randomUUID(), logger, lifelines: guard });
  await provider.prepare();
  diskFloor = { bytes: 0, inodes: 0 };
  daemon = newDaemon();
});

afterEach(async () => {
  daemon.kill();
  client.close();
  await plane.stop();
  await provider.close();
  await guard.close();
  rmSync(root, { recursive: true, force: true });
});

interface Changes {
  concurrency?: number;
  drainTimeoutMs?: number;
  idleLimitMs?: number;
  cancelGraceMs?: number;
  preJob?: string;
  postJob?: string;
  diskLimitBytes?: number;
}

function newDaemon(changes: Changes = {}): Daemon {
  const capabilities = { ...provider.capabilities };
  const registration = {
    client,
    state,
    apiUrl: plane.url,
    registrationToken: MRT,
    labels: ["linux"],
    name: "r1",
    capabilities,
    logger,
  };
  return new Daemon({
    client,
    logger,
    monitor: new Monitor({ labels: ["linux"], concurrency: changes.concurrency ?? 1 }),
    onReady: () => {},
    onSession: () => {},
    onClaim: () => {},
    idleLimitMs: changes.idleLimitMs ?? null,
    drainTimeoutMs: changes.drainTimeoutMs ?? 60_000,
    register: (signal) => register(registration, signal),
    job: {
      keeper: guard,
      provider,
      mirrors: new Mirrors({
        mirrorFolder: state.mirrors,
        folder: state.gitAccess,
        allowedProtocols: "file",
        submoduleHosts: [],
        proxyEnv: {},
        caBundleFile: null,
      }),
      spoolFolder: state.spool,
      spoolMaxBytes: 64 * 1024 * 1024,
      runnerName: "r1",
      capabilities,
      cancelGraceMs: changes.cancelGraceMs ?? 5_000,
      outageLimitMs: 60_000,
      hooks: { preJob: changes.preJob ?? null, postJob: changes.postJob ?? null, timeoutMs: 10_000 },
      disk: new DiskWatch({
        floor: diskFloor,
        limitBytes: changes.diskLimitBytes ?? null,
        paths: () => provider.diskPaths(),
        intervalMs: 50,
        logger,
      }),
    },
  });
}

const run = (script: string, more: Record<string, unknown> = {}) => ({ config: { run: script, ...more } });

async function drainAndExit(running: Promise<number>): Promise<number> {
  daemon.drain("test");
  return await running;
}

describe("a runner that waits for nothing", () => {
  it("ends after its idle limit, which a running job does not use up", async () => {
    daemon = newDaemon({ idleLimitMs: 300 });
    jobs.enqueue([run("sleep 1")]);
    expect(await daemon.run()).toBe(0);
    expect(jobs.reports).toHaveLength(2);
    expect(jobs.reports.every(({ status }) => status === "succeeded")).toBe(true);
  });
});

describe("annotations that the control plane does not take", () => {
  it("cost the step nothing", async () => {
    plane.on(/^POST \/runs\/jobs\/current\/annotations$/, () => ({ status: 500, json: { code: "server-error" } }));
    jobs.enqueue([run('echo hello > "$SHIPFOX_STEP_SUMMARY"')]);
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 2);
    await drainAndExit(running);
    expect(jobs.reports[1]).toMatchObject({ status: "succeeded" });
    expect(plane.requests.filter(({ path }) => path.endsWith("/annotations"))).toHaveLength(1);
  });
});

describe("the clean-up that steps register for the end of their job", () => {
  const register = (text: string) => `echo '${text}' >> "$SHIPFOX_POST_JOB"`;

  it("runs after the last step, the newest first, with the step's environment, into the log of the last step", async () => {
    const job = jobs.enqueue([
      run(register('echo "first $NAME"; exit 3'), { env: { NAME: "x" } }),
      run(`echo "TOOL=t" >> "$SHIPFOX_ENV"; ${register("echo second; pwd")}`),
      run("echo last step; false"),
    ]);
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 4);
    await drainAndExit(running);
    const output = jobs.output(job);
    expect(output).toMatch(/last step\n(.*\n)*.*registered by the step "step 2":\nsecond\n\/.*\/workspace\n/);
    expect(output).toMatch(/registered by the step "step 1":\nfirst x\nWarning: the clean-up exited with code 3\.\n/);
    expect(output.indexOf("second\n")).toBeLessThan(output.indexOf("first x\n"));
    expect(jobs.reports[3]).toMatchObject({ status: "failed", exit_code: 1 });
  });

  it("runs after a cancel, when the step's processes are dead", async () => {
    daemon = newDaemon({ cancelGraceMs: 200 });
    const marker = join(root, "cancelled");
    mkdirSync(marker);
    chmodSync(marker, 0o777);
    const job = jobs.enqueue([run(`${register(`echo cleaned; touch ${marker}/ran`)}; echo ready; sleep 300`)]);
    const running = daemon.run();
    await jobs.until(() => jobs.output(job).includes("ready\n"));
    job.cancel = true;
    await jobs.until(() => jobs.releases.length === 1);
    await drainAndExit(running);
    expect(readdirSync(marker)).toEqual(["ran"]);
    expect(jobs.output(job)).toContain("cleaned\n");
  });

  it("runs also when the control plane does not say which step is the last", async () => {
    const marker = join(root, "old-plane");
    mkdirSync(marker);
    chmodSync(marker, 0o777);
    jobs.enqueue([run(register(`touch ${marker}/ran`))]).tellsLast = false;
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 2);
    await drainAndExit(running);
    expect(readdirSync(marker)).toEqual(["ran"]);
  });
});

describe("the operator's hooks", () => {
  function hook(name: string, script: string): string {
    const path = join(root, name);
    writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return path;
  }

  it("run around a job, in an empty folder, with its identity and without tokens", async () => {
    const post = join(root, "post.txt");
    const pre = hook("pre", 'echo "hook for $SHIPFOX_JOB_ID $SHIPFOX_HOOK"; ls -A; env | sort; pwd');
    daemon = newDaemon({ preJob: pre, postJob: hook("post", `env | sort > ${post}`) });
    const job = jobs.enqueue([run("echo step")]);
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 2);
    await drainAndExit(running);
    const output = jobs.output(job);
    const jobId = job.id;
    expect(output).toMatch(new RegExp(`hook for ${jobId} pre-job\\nHOME=`));
    expect(output).toContain(`SHIPFOX_RUNNER_NAME=r1\n`);
    expect(output.indexOf("hook for")).toBeLessThan(output.indexOf("step\n"));
    const after = readFileSync(post, "utf8");
    expect(after).toContain("SHIPFOX_JOB_RESULT=finished\n");
    for (const seen of [output, after]) expect(seen).not.toMatch(/sf_|lease-|session-|TOKEN/);
  });

  it("hand the job back when the first one fails, and nothing of the job runs", async () => {
    daemon = newDaemon({ preJob: hook("pre", "echo no space; exit 4") });
    const job = jobs.enqueue([run("echo step")]);
    const running = daemon.run();
    await jobs.until(() => jobs.releases.length === 1);
    await drainAndExit(running);
    expect(jobs.releases[0]).toMatchObject({
      reason: "hook_failed",
      message: "The pre-job hook of this runner's operator exited with code 4.",
    });
    expect(jobs.output(job)).toContain("no space\n");
    expect(jobs.reports).toEqual([]);
  });
});

describe("a job", () => {
  it("hands variables, folders and annotations from its steps to later ones and to the control plane", async () => {
    const job = jobs.enqueue([
      run(`echo "LEVEL=from-step" >> "$SHIPFOX_ENV"; echo "OTHER=lost" >> "$SHIPFOX_ENV"
mkdir -p "$SHIPFOX_WORKSPACE/bin"; printf '#!/bin/sh\\necho my tool\\n' > bin/mytool; chmod +x bin/mytool
echo "$SHIPFOX_WORKSPACE/bin" >> "$SHIPFOX_PATH"
echo "# All good" > "$SHIPFOX_STEP_SUMMARY"
echo '{"context":"cov","style":"success","body":"91 %"}' > "$SHIPFOX_ANNOTATIONS_DIR/1.json"
echo '{' > "$SHIPFOX_ANNOTATIONS_DIR/2.json"
echo "::warning file=a.c,line=3::careful"`),
      run("echo $LEVEL $OTHER; mytool", { env: { OTHER: "from the workflow" } }),
      run('echo "LD_PRELOAD=/tmp/x.so" >> "$SHIPFOX_ENV"'),
    ]);
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 4);
    await drainAndExit(running);
    expect(jobs.annotations).toHaveLength(1);
    expect(jobs.annotations[0]?.annotations).toEqual([
      { op: "replace", context: "default", body: "# All good\n" },
      { op: "replace", context: "cov", style: "success", body: "91 %" },
      { op: "replace", context: "log-1.1-1", style: "warning", body: "`a.c:3`\n\n```text\ncareful\n```" },
    ]);
    const output = jobs.output(job);
    expect(output).toContain('Warning: "2.json" of SHIPFOX_ANNOTATIONS_DIR is skipped: it is not JSON.');
    expect(output).toContain("::warning file=a.c,line=3::careful\n");
    expect(output).toContain("from-step from the workflow\nmy tool\n");
    expect(jobs.reports[3]).toMatchObject({
      status: "failed",
      error: { reason: "output_invalid", message: expect.stringContaining("LD_PRELOAD cannot be set") },
    });
  });

  it("runs its steps in one workspace, streams the log, reports outputs and goes on until there is no step", async () => {
    const job = jobs.enqueue([
      run("echo hello; echo from $SHIPFOX_JOB_KEY $CI $NAME > file; echo oops >&2", {
        env: { NAME: "x", SHIPFOX_JOB_KEY: "forged" },
      }),
      run('cat file; echo "answer=42" >> "$SHIPFOX_OUTPUT"'),
    ]);
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 3);
    expect(await drainAndExit(running)).toBe(0);
    expect(jobs.reports.map((report) => [report["status"], report["log_outcome"], report["exit_code"]])).toEqual(
      Array(3).fill(["succeeded", "drained", 0]),
    );
    expect(jobs.reports[2]).toMatchObject({ output: { answer: "42" }, attempt: 1, next: true });
    const output = jobs.output(job);
    expect(output).toContain("hello\n");
    expect(output).toContain("oops\n");
    expect(output).toContain("from build true x\n");
    expect(readdirSync(state.spool)).toEqual([]);
    expect(jobs.endedSessions).toBe(1);
    expect(jobs.releases).toEqual([]);
  });

  it.each([
    ["an exit code", run("exit 3"), { exit_code: 3, error: { message: "exited with code 3" } }],
    [
      "a time-out",
      run("sleep 60", { timeout_ms: 200 }),
      { exit_code: null, error: { reason: "timed_out", message: "timed out after 200ms" } },
    ],
    ["bad outputs", run('echo nonsense > "$SHIPFOX_OUTPUT"'), { exit_code: 0, error: { reason: "output_invalid" } }],
    ["a folder outside", run("true", { working_directory: "../.." }), { error: { field: "working_directory" } }],
    ["a missing folder", run("true", { working_directory: "none" }), { error: { field: "working_directory" } }],
    [
      "an unknown type",
      { type: "agent", config: {} },
      { error: { message: 'This runner does not support steps of type "agent".' } },
    ],
  ])("fails with the reason of %s", async (_what, step, report) => {
    jobs.enqueue([step]);
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 2);
    await drainAndExit(running);
    expect(jobs.reports[1]).toMatchObject({ status: "failed", ...report });
  });

  it("checks the repository out, as a repository that the steps can use", async () => {
    const repository = join(root, "repository");
    const git = ["-c", "user.name=T", "-c", "user.email=t@example.com"];
    execFileSync("git", ["init", "--quiet", repository]);
    execFileSync("git", [...git, "-C", repository, "commit", "--quiet", "--allow-empty", "-m", "first"]);
    const head = execFileSync("git", ["-C", repository, "rev-parse", "HEAD"], { encoding: "utf8" }).trim();
    plane.on(/checkout-token$/, () => ({
      status: 200,
      json: { repository_url: `file://${repository}`, ref: head, fetch_depth: 1 },
    }));
    const job = jobs.enqueue([run("git status --short --branch && git log --format=%s && touch new && git add new")]);
    job.steps[0] = {
      type: "setup",
      config: { checkout: { permissions: { contents: "read" }, persist_credentials: false } },
    };
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 2);
    await drainAndExit(running);
    expect(jobs.reports[0]).toMatchObject({
      status: "succeeded",
      checkout: { repository: `file://${repository}`, ref: head, commit: head },
    });
    expect(jobs.reports[1]).toMatchObject({ status: "succeeded" });
    expect(jobs.output(job)).toContain("## HEAD (no branch)\nfirst\n");
  });

  it("says what kept the repository from being checked out", async () => {
    plane.on(/checkout-token$/, () => ({
      status: 422,
      json: { code: "access-denied", message: "The token has expired." },
    }));
    const job = jobs.enqueue([run("true")]);
    job.steps[0] = {
      type: "setup",
      config: { checkout: { permissions: { contents: "read" }, persist_credentials: false } },
    };
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 1);
    await drainAndExit(running);
    expect(jobs.reports[0]).toMatchObject({ status: "failed", error: { reason: "checkout_auth_failed" } });
    expect(jobs.output(job)).toContain("The token has expired.");
  });

  it("fails when it wants an image that this runner cannot give", async () => {
    const job = jobs.enqueue([run("true")]);
    job.steps[0] = { type: "setup", config: { image: "debian" } };
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 1);
    await drainAndExit(running);
    expect(jobs.reports[0]).toMatchObject({ status: "failed", error: { reason: "sandbox_unavailable" } });
  });

  it("never shows a token of the runner, however the step gets at it", async () => {
    const job = jobs.enqueue([
      run(`echo sf_rt_num; printf 'ber1\\n%s' sf_rt_; sleep 0.2; echo number1; env | base64 -w0; echo ${MRT}`),
    ]);
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 2);
    await drainAndExit(running);
    const printed = jobs.output(job).split("working-directory")[1] as string;
    expect(printed).toContain("***");
    expect(printed).not.toContain("sf_rt_number1");
    expect(printed).not.toContain(MRT);
  });

  it("is stopped when it is cancelled: last words kept, nothing reported, released when its processes are dead", async () => {
    const job = jobs.enqueue([run("trap 'echo caught; exit 0' TERM; echo started; while :; do sleep 0.05; done")]);
    const running = daemon.run();
    await jobs.until(() => jobs.output(job).includes("started\n"));
    job.cancel = true;
    await jobs.until(() => jobs.releases.length === 1);
    await drainAndExit(running);
    expect(jobs.reports).toHaveLength(1);
    expect(jobs.output(job)).toMatch(/caught\n[^]*The job was cancelled\.\n$/);
    expect(readdirSync(join(root, "work", "places"))).toEqual([]);
  });

  it("is killed without a word when the lease is gone", async () => {
    const job = jobs.enqueue([run("echo started; sleep 60")]);
    const running = daemon.run();
    await jobs.until(() => jobs.output(job).includes("started\n"));
    job.isGone = true;
    await jobs.until(() => jobs.parkedClaims === 1);
    await drainAndExit(running);
    expect(jobs.reports).toHaveLength(1);
    expect(jobs.releases).toEqual([]);
    expect(readdirSync(join(root, "work", "places"))).toEqual([]);
  });

  it("goes on while the control plane is away and reports afterwards, with every line once", async () => {
    const lines = Array.from({ length: 60 }, (_, index) => `line ${index}\n`).join("");
    const job = jobs.enqueue([run('for i in $(seq 0 59); do echo "line $i"; sleep 0.01; done')]);
    const running = daemon.run();
    await jobs.until(() => jobs.output(job).includes("line 5\n"));
    await plane.stop();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await plane.start();
    await jobs.until(() => jobs.reports.length >= 2);
    await drainAndExit(running);
    expect(jobs.reports.at(-1)).toMatchObject({ status: "succeeded", log_outcome: "drained" });
    expect(jobs.output(job)).toContain(lines);
  });

  it("goes back to the queue when this machine cannot make a sandbox", async () => {
    provider.create = () => {
      const sandbox = HostProvider.prototype.create.call(provider, { jobId: "x", executionId: "x", image: null });
      sandbox.open = () => Promise.reject(new SandboxError("docker_unavailable", "The Docker daemon does not answer."));
      return sandbox;
    };
    jobs.enqueue([run("true")]);
    const running = daemon.run();
    await jobs.until(() => jobs.releases.length === 1);
    await drainAndExit(running);
    expect(jobs.releases[0]).toMatchObject({
      reason: "docker_unavailable",
      message: "The Docker daemon does not answer.",
    });
    expect(jobs.reports).toEqual([]);
  });
});

describe("the daemon", () => {
  it("runs as many jobs at once as it was told", async () => {
    daemon = newDaemon({ concurrency: 2 });
    const meet = (mine: string, other: string) =>
      run(
        `touch ${root}/meet/${mine}; for i in $(seq 500); do [ -e ${root}/meet/${other} ] && exit 0; sleep 0.02; done; exit 1`,
      );
    mkdirSync(join(root, "meet"));
    chmodSync(join(root, "meet"), 0o777);
    jobs.enqueue([meet("a", "b")]);
    jobs.enqueue([meet("b", "a")]);
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 4);
    await drainAndExit(running);
    expect(jobs.reports.every((report) => report["status"] === "succeeded")).toBe(true);
  });

  it("finishes what it has when it is drained, and claims nothing more", async () => {
    const job = jobs.enqueue([run("echo started; sleep 0.3; echo finished")]);
    const running = daemon.run();
    await jobs.until(() => jobs.output(job).includes("started\n"));
    jobs.enqueue([run("true")]);
    expect(await drainAndExit(running)).toBe(0);
    expect(jobs.reports).toHaveLength(2);
    expect(jobs.output(job)).toContain("finished\n");
  });

  it("hands jobs back when the drain timeout passes", async () => {
    daemon = newDaemon({ drainTimeoutMs: 50, cancelGraceMs: 50 });
    const job = jobs.enqueue([run("echo started; sleep 60")]);
    const running = daemon.run();
    await jobs.until(() => jobs.output(job).includes("started\n"));
    expect(await drainAndExit(running)).toBe(0);
    expect(jobs.releases).toMatchObject([{ jobId: job.id, reason: "draining" }]);
    expect(jobs.reports).toHaveLength(1);
  });

  it("hands its jobs back at once when the machine is about to go", async () => {
    const job = jobs.enqueue([run("echo started; sleep 60")]);
    const running = daemon.run();
    await jobs.until(() => jobs.output(job).includes("started\n"));
    daemon.leave("the spot notice came");
    daemon.leave("and again");
    expect(await running).toBe(0);
    expect(jobs.releases).toMatchObject([{ jobId: job.id, reason: "machine_going", message: "the spot notice came" }]);
    expect(jobs.endedSessions).toBe(1);
  });

  it("kills and releases at once when it is told twice, with status 1", async () => {
    const job = jobs.enqueue([run("trap '' TERM; echo started; while :; do sleep 0.1; done")]);
    const running = daemon.run();
    await jobs.until(() => jobs.output(job).includes("started\n"));
    daemon.drain("test");
    daemon.kill();
    expect(await running).toBe(1);
    expect(jobs.releases).toMatchObject([{ jobId: job.id, reason: "draining" }]);
  });

  it("hands back a job that was given to a claim while draining began", async () => {
    const keys: string[] = [];
    plane.on(/^POST \/runners\/jobs\/request$/, async (request) => {
      keys.push(request.idempotencyKey);
      if (keys.length > 1) {
        const job = jobs.enqueue([run("true")]);
        return {
          status: 200,
          json: {
            workflow_run_id: job.id,
            workflow_run_attempt_id: job.id,
            job_id: job.id,
            job_execution_id: job.id,
            lease_token: "lease",
          },
        };
      }
      daemon.drain("test");
      await request.gone;
      return "drop";
    });
    expect(await daemon.run()).toBe(0);
    expect(new Set(keys).size).toBe(1);
    expect(jobs.releases).toMatchObject([{ reason: "draining" }]);
  });

  it("repeats a claim whose answer was lost with the same key, and takes a new key for the next", async () => {
    const keys: string[] = [];
    plane.on(/^POST \/runners\/jobs\/request$/, (request) => {
      keys.push(request.idempotencyKey);
      if (keys.length === 1) return "drop";
      if (keys.length === 2) return { status: 503, json: { code: "shutting-down" } };
      if (keys.length === 4) daemon.drain("test");
      return { status: 204 };
    });
    await daemon.run();
    expect(keys[0]).toBe(keys[1]);
    expect(keys[1]).toBe(keys[2]);
    expect(keys[3]).not.toBe(keys[2]);
  });

  it("claims nothing after three faults in a row, says why, and is well again when its probe passes", async () => {
    const health: { state: string; reason?: string }[] = [];
    plane.on(/^PUT \/runners\/session\/health$/, (request) => {
      health.push(JSON.parse(request.body.toString()));
      return health.at(-1)?.state === "healthy" ? { status: 204 } : { status: 503 };
    });
    const create = provider.create.bind(provider);
    let faults = 0;
    provider.create = (options) => {
      const sandbox = create(options);
      if (faults < 3) sandbox.open = () => Promise.reject(new SandboxError("docker_unavailable", "No Docker here."));
      faults += 1;
      return sandbox;
    };
    let probes = 0;
    provider.prepare = async () => {
      probes += 1;
      if (probes === 1) throw new SandboxError("docker_unavailable", "Still no Docker.");
    };
    for (let count = 0; count < 4; count += 1) jobs.enqueue([run("true")]);
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length === 2);
    await drainAndExit(running);
    expect(jobs.releases.map(({ reason }) => reason)).toEqual(new Array(3).fill("docker_unavailable"));
    expect(health).toEqual([
      { state: "unhealthy", reason: "No Docker here." },
      { state: "unhealthy", reason: "Still no Docker." },
      { state: "healthy" },
    ]);
  });

  it("stops with the status that is not restarted when the control plane was upgraded past it", async () => {
    plane.on(/^POST \/runners\/jobs\/request$/, () => ({
      status: 409,
      json: { code: "runner-version-unsupported", message: "upgrade the runner" },
    }));
    await expect(daemon.run()).rejects.toMatchObject({ exitCode: 78, message: /upgrade the runner/ });
  });

  it("ends with status 0 when the control plane ended its session", async () => {
    plane.on(/^POST \/runners\/jobs\/request$/, () => ({
      status: 409,
      json: { code: "runner-session-exhausted", details: { reason: "draining" } },
    }));
    expect(await daemon.run()).toBe(0);
  });

  it("registers again with its new credential when the session has expired", async () => {
    let claims = 0;
    plane.on(/^POST \/runners\/jobs\/request$/, () => {
      claims += 1;
      if (claims === 1) return { status: 401, json: { code: "unauthorized" } };
      daemon.drain("test");
      return { status: 204 };
    });
    await daemon.run();
    expect(jobs.registrations.map(({ token }) => token)).toEqual([MRT, "sf_rt_number1"]);
  });
});

describe("the disk", () => {
  it("ends a job that wrote more than it may, as the workflow's fault", async () => {
    daemon = newDaemon({ diskLimitBytes: 4 * 1024 * 1024, cancelGraceMs: 200 });
    const job = jobs.enqueue([run("head -c 8000000 /dev/zero > big; echo written; sleep 300"), run("echo never")]);
    const running = daemon.run();
    await jobs.until(() => jobs.reports.length >= 2);
    await drainAndExit(running);
    expect(jobs.reports[1]).toMatchObject({
      status: "failed",
      error: { reason: "disk_limit", message: expect.stringContaining("may write 4194304") },
    });
    expect(jobs.output(job)).toContain("written\n");
    expect(jobs.releases).toEqual([]);
  });

  it("takes no job while there is too little room, hands a running one back, and goes on when there is room", async () => {
    daemon = newDaemon({ cancelGraceMs: 200 });
    const job = jobs.enqueue([run("echo started; sleep 300")]);
    const running = daemon.run();
    await jobs.until(() => jobs.output(job).includes("started"));

    diskFloor.bytes = Number.MAX_SAFE_INTEGER;

    await jobs.until(() => jobs.releases.length === 1);
    expect(jobs.releases[0]).toMatchObject({
      reason: "disk_full",
      message: expect.stringContaining("SHIPFOX_RUNNER_DISK_FLOOR_BYTES"),
    });
    const next = jobs.enqueue([run("echo next")]);
    expect(jobs.parkedClaims).toBe(0);
    diskFloor.bytes = 0;
    await jobs.until(() => jobs.output(next).includes("next\n"));
    await drainAndExit(running);
    expect(jobs.releases).toHaveLength(1);
  });
});
