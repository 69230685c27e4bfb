// Runs shellcheck, where it is installed, on every shell script of the repository.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { glob } from "node:fs/promises";

const FOLDERS = ["*", "*/bin/*", "scripts/**", "*/{src,examples,systemd}/**/*.sh"];
const FIRST_LINE = /^#!\/bin\/(busybox )?sh\n/;
/** Not faults here: `a && b || c` with a `b` that does not fail, variables of a subshell, functions that a trap calls. */
const LEFT_OUT = "SC2015,SC2030,SC2031,SC2317";
const LIMIT_MS = 120_000;

const files = await Array.fromAsync(glob(FOLDERS, { exclude: ["**/node_modules/**"], withFileTypes: true }));
const scripts = files
  .filter((file) => file.isFile())
  .map(({ parentPath, name }) => `${parentPath}/${name}`)
  .filter((path) => path.endsWith(".sh") || FIRST_LINE.test(readFileSync(path, "utf8").slice(0, 100)));
if (scripts.length === 0) throw new Error("found no script: the check checks nothing");
// Some are sourced and have no first line.
const args = ["--shell=sh", `--exclude=${LEFT_OUT}`, "--format=gcc", ...scripts.toSorted()];
const { error, status } = spawnSync("shellcheck", args, { stdio: "inherit", timeout: LIMIT_MS });
if (error && "code" in error && error.code === "ENOENT") {
  console.log("shellcheck is not installed: scripts/ensure-test-tools does that");
} else if (error) {
  throw error;
} else {
  console.log(`${scripts.length} scripts`);
  process.exitCode = status ?? 1;
}
