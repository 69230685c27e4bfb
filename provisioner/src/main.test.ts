import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CODE_CACHE } from "@shipfox/shared/code-cache.fixture";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readCommandLine } from "./command-line.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const TOKEN = `sf_pt_${"b".repeat(43)}`;
const GOOD =
  "provider: { kind: docker }\nrunner_api_url: http://10.214.0.1:16101\ntemplates:\n  small: { labels: [linux], max_concurrency: 1, machine: { image: a } }\n";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "shipfox-provisioner-main-"));
  file = join(folder, "templates.yaml");
  writeFileSync(file, GOOD);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function run(args: readonly string[], env: Record<string, string> = {}) {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [MAIN, ...args], {
    extendEnv: false,
    env: {
      PATH: process.env["PATH"] ?? "",
      ...CODE_CACHE,
      HOME: folder,
      SHIPFOX_API_URL: "http://127.0.0.1:1",
      SHIPFOX_PROVISIONER_STATE_DIR: join(folder, "state"),
      SHIPFOX_PROVISIONER_TEMPLATES_FILE: file,
      ...env,
    },
    reject: false,
    timeout: 50_000,
  });
  return { exitCode, stdout, stderr };
}

function textOf(...args: string[]): string {
  const read = readCommandLine(args);
  return read.kind === "print" ? read.text : "";
}

describe("the command line of shipfox-provisioner", () => {
  it.each([
    [["stat"], 'Unknown command "stat"; the commands are start, validate, schema, plan, status, drain.'],
    [["plan", "now"], 'Unknown command "plan now"'],
    [["--templates-fil", "x"], "did you mean --templates-file?"],
    [["start", "--json"], '"start" has no flag --json.'],
    [["status", "--offline"], '"status" has no flag --offline.'],
    [["drain", "--wait", "soon"], "--wait: expected seconds between 0 and 2592000"],
    [["drain", "--wait=-1"], "--wait: expected seconds"],
    [["validate", "--offline", "--template", "small"], "--offline and --template do not go together"],
    [["validate", "--template"], "--template needs a value"],
    [["--token", TOKEN], "there is no flag --token, because everybody on the machine could read the secret"],
  ])("refuses %j in words", (args, words) => {
    const read = readCommandLine(args);
    expect(read).toMatchObject({ kind: "wrong", message: expect.stringContaining(words) });
    expect(JSON.stringify(read)).not.toContain(TOKEN);
  });

  it("ends with 64 when it is refused", async () => {
    expect(await run(["stat"])).toMatchObject({
      exitCode: 64,
      stdout: "",
      stderr: expect.stringContaining("See shipfox-provisioner --help."),
    });
  });

  it("explains itself and each of its commands with an example", () => {
    expect(textOf("--help")).toMatch(
      /--templates-file, SHIPFOX_PROVISIONER_TEMPLATES_FILE\n.*\[\/etc\/shipfox\/templates\.yaml\]/,
    );
    expect(textOf("--help")).toMatch(/^ {2}3 .*unhealthy[^]*^ {2}4 .*no provisioner/m);
    for (const command of ["validate", "schema", "plan", "status", "drain"]) {
      expect(textOf("help", command)).toContain(`Usage: shipfox-provisioner ${command}`);
      expect(textOf(command, "-h")).toMatch(new RegExp(`Examples:\n  shipfox-provisioner ${command}`));
    }
  });

  it("shows every fault of a templates file at its place", async () => {
    writeFileSync(file, GOOD.replace("max_concurrency: 1", "max_concurrency: many, colour: red"));
    for (const args of [["validate", "--offline"], ["start"]]) {
      const { exitCode, stderr } = await run(args, { SHIPFOX_PROVISIONER_TOKEN: TOKEN });
      expect(exitCode).toBe(78);
      expect(stderr).toContain(`${file}:4:`);
      expect(stderr).toContain("colour");
      expect(stderr).toContain("max_concurrency");
      expect(stderr).not.toContain("    at ");
    }
  });

  it("names a templates file that is not there, a template that is not in it, and a token that is none", async () => {
    expect(await run(["validate", "--offline", "--templates-file", "none.yaml"])).toMatchObject({
      exitCode: 78,
      stderr: expect.stringMatching(/The templates file none\.yaml cannot be read: ENOENT.*--templates-file/),
    });
    expect(await run(["validate", "--template", "smal"])).toMatchObject({
      exitCode: 78,
      stderr: expect.stringContaining('has no template "smal"; did you mean "small"?'),
    });
    expect(await run(["start"])).toMatchObject({
      exitCode: 78,
      stderr: expect.stringContaining("SHIPFOX_PROVISIONER_TOKEN_FILE, must name the provisioner token"),
    });
    const wrong = await run(["start"], { SHIPFOX_PROVISIONER_TOKEN: "hunter2" });
    expect(wrong).toMatchObject({
      exitCode: 78,
      stderr: expect.stringContaining("SHIPFOX_PROVISIONER_TOKEN: expected a provisioner token (sf_pt_…)"),
    });
    expect(wrong.stderr).not.toContain("hunter2");
  });

  it.each([
    ["docker", "{ image: a }", "--also-listen 10.214.0.1:16101"],
    ["qemu", "{ disk: a }", "10.0.2.2"],
  ])("refuses an address at which machines of %s find but themselves, also without asking anybody", async (...row) => {
    const [kind, machine, way] = row;
    const text = `provider: { kind: ${kind} }\ntemplates:\n  small: { labels: [linux], max_concurrency: 1, machine: ${machine} }\n`;
    writeFileSync(file, text);
    for (const args of [["validate", "--offline"], ["start"]]) {
      const { exitCode, stderr } = await run(args, { SHIPFOX_PROVISIONER_TOKEN: TOKEN });
      expect(exitCode).toBe(78);
      expect(stderr).toContain(
        `machines of ${kind} cannot reach http://127.0.0.1:1, which is each machine itself there`,
      );
      expect(stderr).toContain(way);
    }
  });

  it("accepts a good file without asking anybody", async () => {
    expect(await run(["validate", "--offline"])).toEqual({
      exitCode: 0,
      stdout: `${file}: 1 template, valid`,
      stderr: "",
    });
  });
});
