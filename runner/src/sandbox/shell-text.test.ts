import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { killTreeText, launchText, quote } from "./shell-text.ts";

const execute = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), "shipfox-shell-"));

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("launch text", () => {
  it("gives any value to the script as it is", async () => {
    const scriptPath = join(folder, "it's a script.sh");
    await writeFile(scriptPath, 'printf %s "$VALUE"');
    for (const VALUE of ["", "'", "a'b''c", "$HOME `id` \\", "line\nline\n", "-n", "漢字"]) {
      const text = launchText({ env: { VALUE }, path: [], workingDirectory: null, scriptPath });
      expect((await execute("/bin/sh", ["-c", text])).stdout).toBe(VALUE);
    }
  });

  it("puts folders before PATH, also before one that is set for the script", async () => {
    const scriptPath = join(folder, "path.sh");
    await writeFile(scriptPath, 'printf %s "$PATH"');
    const path = ["/it's here", "/b"];
    const text = launchText({ env: {}, path, workingDirectory: null, scriptPath });
    const { stdout } = await execute("/bin/sh", ["-c", text], { env: { PATH: "/usr/bin:/bin" } });
    expect(stdout).toBe("/it's here:/b:/usr/bin:/bin");
    const set = launchText({ env: { PATH: "/bin" }, path, workingDirectory: null, scriptPath });
    expect((await execute("/bin/sh", ["-c", set])).stdout).toBe("/it's here:/b:/bin");
  });

  it("runs nothing when only a part of it arrives", async () => {
    const scriptPath = join(folder, "mark.sh");
    await writeFile(scriptPath, "echo ran");
    const text = launchText({ env: { A: "1" }, path: [], workingDirectory: null, scriptPath });
    for (const length of [5, text.length / 2, text.length - 3]) {
      const part = await execute("/bin/sh", ["-c", text.slice(0, Math.floor(length))]).catch((error: unknown) => error);
      expect(part).toMatchObject({ stdout: "" });
      expect((part as { code: number }).code).toBeGreaterThan(0);
    }
  });

  it("cannot be given options through names", () => {
    const text = launchText({ env: {}, path: [], workingDirectory: "-P", scriptPath: "/s" });
    expect(text).toContain("cd './-P'");
    expect(quote("a'b")).toBe("'a'\\''b'");
  });
});

describe("kill-tree text", () => {
  it("sends no SIGTERM without grace", () => {
    expect(killTreeText(0)).toContain("if [ 0 -gt 0 ]");
    expect(killTreeText(1500)).toContain("if [ 15 -gt 0 ]");
  });
});
