import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StandInJobs } from "./control-plane/stand-in-jobs.fixture.ts";
import { StandInPlane } from "./control-plane/stand-in-plane.fixture.ts";
import { startRunnerProcess } from "./runner-process.fixture.ts";

const MRT = `sf_mrt_${"b".repeat(43)}`;
const HOOK = `import { registerHooks } from "node:module";
registerHooks({ load: (url, context, next) => (console.error("loads " + url), next(url, context)) });`;
/** Says on stderr what is loaded. */
const TELL_LOADS = `--import=data:text/javascript,${encodeURIComponent(HOOK)}`;

let root: string;
let plane: StandInPlane;
let jobs: StandInJobs;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "shipfox-runner-main-"));
  chmodSync(root, 0o711);
  plane = new StandInPlane();
  await plane.start();
  jobs = new StandInJobs(plane);
});

afterEach(async () => {
  await plane.stop();
  rmSync(root, { recursive: true, force: true });
});

const startRunner = (args: readonly string[], env: Record<string, string> = {}) =>
  startRunnerProcess(args, {
    HOME: root,
    SHIPFOX_API_URL: plane.url,
    SHIPFOX_RUNNER_STATE_DIR: join(root, "state"),
    SHIPFOX_RUNNER_SANDBOX: "host",
    ...env,
  });

describe("shipfox-runner", () => {
  it("says what it is, works off a job, drains on SIGTERM and never prints or passes on its token", async () => {
    const runner = startRunner(["start", "--labels", "Big,linux", "--name", "r7"], {
      SHIPFOX_RUNNER_REGISTRATION_TOKEN: MRT,
    });
    await jobs.until(() => jobs.parkedClaims === 1);
    const job = jobs.enqueue([{ config: { run: "env; echo done by $SHIPFOX_RUNNER_NAME" } }]);
    await jobs.until(() => jobs.reports.length === 2);
    runner.child.kill("SIGTERM");
    expect(await runner.exit).toBe(0);
    expect(jobs.output(job)).toContain("done by r7\n");
    expect(jobs.output(job)).not.toContain("REGISTRATION_TOKEN");
    expect(runner.output.stdout).toMatch(
      /^shipfox-runner \S+ for http\S+, state in \S+; takes jobs that ask for labels among: big, linux\. It registers now/,
    );
    expect(runner.output.stderr).toContain("runner ready");
    expect(runner.output.stdout + runner.output.stderr).not.toMatch(/sf_(mrt|rt)_[a-z]/);
    expect(jobs.endedSessions).toBe(1);
  });

  it("loads nothing of Docker for the host sandbox: a machine made for one job starts its runner so much sooner", async () => {
    const runner = startRunner([], { SHIPFOX_RUNNER_REGISTRATION_TOKEN: MRT, NODE_OPTIONS: TELL_LOADS });
    await jobs.until(() => jobs.parkedClaims === 1);
    runner.child.kill("SIGTERM");
    expect(await runner.exit).toBe(0);
    expect(runner.output.stderr).toMatch(/^loads \S+\/host-provider\.ts$/m);
    expect(runner.output.stderr).not.toMatch(/^loads \S+\/(dockerode|docker-modem|docker-provider)\b/m);
  });

  it("was killed: the next start sends the log that was left, gives the job back and goes on with its own credential", async () => {
    const killed = startRunner([], { SHIPFOX_RUNNER_REGISTRATION_TOKEN: MRT });
    const job = jobs.enqueue([{ config: { run: "echo started; echo $$ > pid; sleep 60" } }]);
    await jobs.until(() => jobs.output(job).includes("started\n"));
    killed.child.kill("SIGKILL");
    await killed.exit;
    const runner = startRunner([]);
    await jobs.until(() => jobs.parkedClaims === 1);
    runner.child.kill("SIGTERM");
    expect(await runner.exit).toBe(0);
    expect(jobs.releases).toMatchObject([{ jobId: job.id, reason: "runner_restarted" }]);
    expect(jobs.registrations.map(({ token }) => token)).toEqual([MRT, "sf_rt_number1"]);
    expect(readdirSync(join(root, "state", "spool"))).toEqual([]);
    expect(readdirSync(join(root, "state", "work", "places"))).toEqual([]);
    expect(runner.output.stdout).toContain("It is registered");
  });

  it("stops at a refused token with a message that says what to do", async () => {
    plane.on(/register$/, () => ({ status: 401, json: { code: "unauthorized", message: "No such token." } }));
    const runner = startRunner([], { SHIPFOX_RUNNER_REGISTRATION_TOKEN: MRT });
    expect(await runner.exit).toBe(78);
    expect(runner.output.stderr).toContain('Make a new one with "shipfox runners add"');
  });

  it.each([
    ["a wrong setting", ["--concurrency", "many"], 78, "SHIPFOX_RUNNER_CONCURRENCY: expected a whole number"],
    ["an unknown flag", ["--colour"], 2, "--help"],
    ["a token as a flag", ["--registration-token", "x"], 2, "--help"],
    ["a flag of another command", ["start", "--json"], 2, '"start" has no flag --json'],
    ["a wait that is no number", ["drain", "--wait", "soon"], 2, "--wait: expected seconds"],
    ["an unknown command", ["stat"], 2, 'Unknown command "stat"'],
  ])("refuses %s in words", async (_what, args, status, message) => {
    const runner = startRunner(args);
    expect(await runner.exit).toBe(status);
    expect(runner.output.stderr).toContain(message);
  });

  it("does not start with a hook that others could change", async () => {
    const hook = join(root, "hook");
    writeFileSync(hook, "#!/bin/sh\n");
    chmodSync(hook, 0o777);
    const runner = startRunner([], { SHIPFOX_RUNNER_REGISTRATION_TOKEN: MRT, SHIPFOX_RUNNER_PRE_JOB_HOOK: hook });
    expect(await runner.exit).toBe(78);
    expect(runner.output.stderr).toContain(`the hook cannot be used: ${hook} can be written by others`);
    const wrong = startRunner([], { SHIPFOX_RUNNER_POST_JOB_HOOK: "hook" });
    expect(await wrong.exit).toBe(78);
    expect(wrong.output.stderr).toContain("SHIPFOX_RUNNER_POST_JOB_HOOK: expected an absolute path");
  });

  it("prints every setting with its default", async () => {
    const runner = startRunner(["-h"]);
    expect(await runner.exit).toBe(0);
    expect(runner.output.stdout).toMatch(/--concurrency, SHIPFOX_RUNNER_CONCURRENCY\n.*\[1\]/);
    expect(runner.output.stdout).toContain("SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE");
  });
});
