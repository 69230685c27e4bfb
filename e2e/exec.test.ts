import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { Cli, type CliResult } from "./src/cli.ts";
import { processesBelow } from "./src/processes.ts";
import { useStage } from "./src/stage.ts";

const SECRET = "correct-horse-battery";
const BUILD = `name: Build
runner: linux
jobs:
  build:
    steps:
      - run: cat note.txt; echo "region $REGION; secret $KEY"
        env:
          REGION: \${{ vars.REGION }}
          KEY: \${{ secrets.DEPLOY_KEY }}
  test:
    needs: build
    matrix:
      size: [small, large]
    runner: ["\${{ matrix.size }}", "linux"]
    steps:
      - run: echo "tested \${{ matrix.size }}"
`;
const RED = "name: Red\nrunner: linux\njobs:\n  job:\n    checkout: false\n    steps:\n      - run: exit 3\n";
const BAD = "name: Bad\njobs:\n  job:\n    stepz: []\n";
const git = (cwd: string, ...args: string[]) => promisify(execFile)("git", args, { cwd }).then(({ stdout }) => stdout);

describe("shipfox exec, without a server", () => {
  const stage = useStage();
  let cli: Cli;
  let folder: string;
  let temporary: string;

  const exec = (...args: string[]): Promise<CliResult> =>
    cli.runWith({ cwd: folder, env: { DEPLOY_KEY: SECRET, TMPDIR: temporary } }, "exec", ...args);

  beforeAll(async () => {
    cli = await Cli.create(stage);
    folder = await stage.folder("exec");
    temporary = await stage.folder("exec-temporary");
    await promisify(execFile)("chmod", ["0711", temporary]);
    await files({ ".shipfox/workflows/build.yml": BUILD, "note.txt": "committed\n", ".gitignore": "ignored.txt\n" });
    await git(folder, "init", "--quiet", "--initial-branch=main");
    await git(folder, "add", "--all");
    await git(folder, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "Start");
    await files({ "note.txt": "not committed yet\n", "red.yml": RED, "bad.yml": BAD });
  });

  it("runs the file with the working tree as it is, with variables and masked secrets, and leaves nothing", async () => {
    const before = await git(folder, "status", "--porcelain=v2", "--branch");
    const options = ["--sandbox", "host", "--secret", "DEPLOY_KEY", "--var", "REGION=eu"];
    const { code, stdout } = await exec(".shipfox/workflows/build.yml", ...options);
    expect(stdout).toContain("not committed yet");
    expect(stdout).toContain("region eu; secret ***");
    expect(stdout).toContain("tested small");
    expect(stdout).toContain("tested large");
    expect(stdout).not.toContain(SECRET);
    expect(code).toBe(0);
    expect(await git(folder, "status", "--porcelain=v2", "--branch")).toBe(before);
    await nothingIsLeft();
  });

  it("ends with 1 when the run failed, with 1 and the place when the file is wrong, and with 64 for a missing secret", async () => {
    const red = await exec("red.yml", "--sandbox", "host", "--json");
    expect(red.code).toBe(1);
    expect(JSON.parse(red.stdout.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({
      type: "result",
      status: "failed",
    });
    const bad = await exec("bad.yml");
    expect(bad).toMatchObject({ code: 1, stdout: "" });
    expect(bad.stderr).toContain("bad.yml:4");
    const missing = await exec("red.yml", "--secret", "NO_SUCH_VARIABLE");
    expect(missing.code).toBe(64);
    expect(missing.stderr).toContain("NO_SUCH_VARIABLE");
    await nothingIsLeft();
  });

  it("[docker] runs the steps in containers by itself", async () => {
    await files({ "contained.yml": RED.replace("exit 3", "test -e /.dockerenv && echo contained") });
    const { code, stdout } = await exec("contained.yml");
    expect(stdout).toContain("contained");
    expect(code).toBe(0);
    await nothingIsLeft();
  });

  async function files(texts: Record<string, string>): Promise<void> {
    for (const [name, text] of Object.entries(texts)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
  }

  async function nothingIsLeft(): Promise<void> {
    expect(await readdir(temporary)).toEqual([]);
    expect(await processesBelow(temporary)).toEqual([]);
  }
});
