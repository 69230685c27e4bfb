import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { endFormerGuard, noteGuard } from "./former-guard.ts";

const logger = pino({ level: "silent" });
let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "shipfox-former-guard-"));
  file = join(folder, "guard");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function startProcess() {
  const child = spawn("sleep", ["300"], { stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  return { child, pid: child.pid ?? 0 };
}

describe("the guard of an earlier run", () => {
  it("is killed, also when it is frozen", async () => {
    const { child, pid } = startProcess();
    const exit = once(child, "exit");
    noteGuard(file, pid);
    child.kill("SIGSTOP");
    await endFormerGuard(file, logger);
    expect(await exit).toEqual([null, "SIGKILL"]);
  });

  it("is left alone when another process has its id by now", async () => {
    const { child, pid } = startProcess();
    noteGuard(file, pid);
    const [boot, identity = ""] = readFileSync(file, "utf8").split("\n");
    for (const note of [`${boot}\n${identity}1\n`, `another-boot\n${identity}\n`, "", "damaged"]) {
      writeFileSync(file, note);
      await endFormerGuard(file, logger);
    }
    expect(child.exitCode ?? child.signalCode).toBeNull();
  });

  it("need not be there, and neither need its note", async () => {
    await expect(endFormerGuard(file, logger)).resolves.toBeUndefined();
    const { child, pid } = startProcess();
    noteGuard(file, pid);
    child.kill("SIGKILL");
    await once(child, "exit");
    await expect(endFormerGuard(file, logger)).resolves.toBeUndefined();
  });

  it("is noted in a file for the runner alone", () => {
    writeFileSync(file, "", { mode: 0o644 });
    noteGuard(file, process.pid);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});
