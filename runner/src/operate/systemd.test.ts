import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StandInJobs } from "../control-plane/stand-in-jobs.fixture.ts";
import { StandInPlane } from "../control-plane/stand-in-plane.fixture.ts";
import { startRunnerProcess } from "../runner-process.fixture.ts";
import { NotifySocket } from "./notify-socket.fixture.ts";

const MRT = `sf_mrt_${"d".repeat(43)}`;
const UNIT = join(import.meta.dirname, "../../systemd/shipfox-runner.service");
const UNIT_ONCE = join(import.meta.dirname, "../../systemd/shipfox-runner-once.service");
const has = (program: string, ...args: string[]) => spawnSync(program, args).status === 0;
const canListen = has("python3", "--version") && has("systemd-notify", "--version");

describe.skipIf(!canListen)("under systemd", () => {
  let root: string;
  let plane: StandInPlane;
  let jobs: StandInJobs;
  let systemd: NotifySocket;
  let runner: ReturnType<typeof startRunnerProcess>;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "shipfox-systemd-"));
    chmodSync(root, 0o711);
    plane = new StandInPlane();
    await plane.start();
    jobs = new StandInJobs(plane);
    systemd = await NotifySocket.listen(join(root, "notify"));
  });

  afterEach(async () => {
    runner.child.kill("SIGKILL");
    await runner.exit;
    await systemd.close();
    await plane.stop();
    rmSync(root, { recursive: true, force: true });
  });

  const start = (env: Record<string, string> = {}) => {
    writeFileSync(join(root, "runner.env"), "SHIPFOX_RUNNER_CONCURRENCY=2\n");
    runner = startRunnerProcess([], {
      HOME: root,
      NOTIFY_SOCKET: join(root, "notify"),
      SHIPFOX_API_URL: plane.url,
      SHIPFOX_RUNNER_CONFIG_FILE: join(root, "runner.env"),
      SHIPFOX_RUNNER_REGISTRATION_TOKEN: MRT,
      SHIPFOX_RUNNER_SANDBOX: "host",
      SHIPFOX_RUNNER_STATE_DIR: join(root, "state"),
      ...env,
    });
  };

  it("is ready when it asks for jobs, reloads, stops with enough time, and feeds the watchdog meanwhile", async () => {
    start({ WATCHDOG_USEC: "600000" });
    const ready = await systemd.heard("READY=1");
    expect(jobs.registrations).toHaveLength(1);
    expect(systemd.messages[ready]).toContain("STATUS=healthy; 0 of 2 jobs running");
    await systemd.heard("WATCHDOG=1", ready);

    writeFileSync(join(root, "runner.env"), "SHIPFOX_RUNNER_CONCURRENCY=3\n");
    runner.child.kill("SIGHUP");
    const reloading = await systemd.heard("RELOADING=1");
    expect(systemd.messages[reloading]).toEqual(["RELOADING=1", expect.stringMatching(/^MONOTONIC_USEC=\d+$/)]);
    const reloaded = await systemd.heard("READY=1", reloading);
    expect(systemd.messages[reloaded]).toContain("STATUS=reloaded: concurrency changed");
    await systemd.heard("WATCHDOG=1", reloaded);

    runner.child.kill("SIGTERM");
    expect(await runner.exit).toBe(0);
    const stopping = await systemd.heard("STOPPING=1");
    expect(systemd.messages[stopping]).toContain("EXTEND_TIMEOUT_USEC=180000000");
    expect(systemd.messages.flat().filter((line) => line === "READY=1")).toHaveLength(2);
  });

  it("never says that it is ready with a refused token, and ends with the status that is not restarted", async () => {
    plane.on(/register$/, () => ({ status: 401, json: { code: "unauthorized", message: "No such token." } }));
    start();
    expect(await runner.exit).toBe(78);
    expect(systemd.messages.flat()).not.toContain("READY=1");
    expect(readFileSync(UNIT, "utf8")).toMatch(/^RestartPreventExitStatus=2 78$/m);
  });

  it("keeps the socket from the steps", async () => {
    start({ WATCHDOG_USEC: "30000000" });
    const job = jobs.enqueue([{ config: { run: "env; cat /proc/self/environ | tr '\\0' '\\n'; echo done" } }]);
    await jobs.until(() => jobs.output(job).includes("done\n"));
    expect(jobs.output(job)).not.toMatch(/NOTIFY_SOCKET|WATCHDOG/);
  });
});

describe.skipIf(!has("systemd-analyze", "--version"))("the unit files", () => {
  it("has one for machines of one job, which systemd accepts and which ends the machine with its runner", () => {
    const folder = mkdtempSync(join(tmpdir(), "shipfox-unit-"));
    try {
      const text = readFileSync(UNIT_ONCE, "utf8");
      expect(text).toMatch(/^SuccessAction=poweroff$/m);
      expect(text).toMatch(/^FailureAction=poweroff-force$/m);
      const unit = join(folder, "shipfox-runner-once.service");
      writeFileSync(unit, text.replace(/^ExecStart=.*$/m, `ExecStart=${process.execPath}`));
      const verified = spawnSync("systemd-analyze", ["verify", "--man=no", unit], { encoding: "utf8" });
      expect({ status: verified.status, remarks: verified.stderr }).toEqual({ status: 0, remarks: "" });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("has one for runners that stay, accepted by systemd without a remark", () => {
    const folder = mkdtempSync(join(tmpdir(), "shipfox-unit-"));
    try {
      // The command and the account come with the installation.
      const text = readFileSync(UNIT, "utf8")
        .replace(/^ExecStart=.*$/m, `ExecStart=${process.execPath}`)
        .replace(/^(User|Group)=.*$/gm, "$1=daemon")
        .replace(/^SupplementaryGroups=.*$/m, "SupplementaryGroups=daemon");
      const unit = join(folder, "shipfox-runner.service");
      writeFileSync(unit, text);
      const verified = spawnSync("systemd-analyze", ["verify", "--man=no", unit], { encoding: "utf8" });
      expect({ status: verified.status, remarks: verified.stderr }).toEqual({ status: 0, remarks: "" });
      const json = execFileSync("systemd-analyze", ["security", "--offline=true", "--json=short", unit], {
        encoding: "utf8",
      });
      const findings = JSON.parse(json) as { json_field?: string; set: boolean | null }[];
      const isSet = (field: string) => findings.find(({ json_field }) => json_field === field)?.set;
      for (const field of ["NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateDevices"])
        expect([field, isSet(field)]).toEqual([field, true]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
