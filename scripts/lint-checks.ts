// Runs every check of scripts/lint side by side: one line each with its duration, then what the failed ones said.
import { execFile } from "node:child_process";

const CHECK_TIMEOUT_MS = 300_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

const bin = (name: string) => `node_modules/.bin/${name}`;

const CHECKS: Array<{ name: string; command: string; args: string[] }> = [
  { name: "types", command: bin("tsc"), args: ["-p", ".", "--noEmit"] },
  {
    name: "rules",
    command: bin("oxlint"),
    args: ["--type-aware", "--deny-warnings", "--report-unused-disable-directives"],
  },
  { name: "format", command: bin("biome"), args: ["format", "."] },
  { name: "layers", command: process.execPath, args: ["scripts/lint-layers.ts"] },
  { name: "shell", command: process.execPath, args: ["scripts/lint-shell.ts"] },
  { name: "unused", command: bin("knip"), args: ["--no-progress"] },
];

interface Result {
  name: string;
  passed: boolean;
  output: string;
}

function run({ name, command, args }: (typeof CHECKS)[number]): Promise<Result> {
  const started = performance.now();
  const options = { timeout: CHECK_TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES };
  return new Promise((resolve) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      console.log(`lint: ${name.padEnd(6)} ${error ? "FAILED" : "ok"} (${seconds} s)`);
      // A check that could not start, or was ended by its timeout, may have said nothing.
      const output = [stdout, stderr, error && !stdout && !stderr ? error.message : ""].join("");
      resolve({ name, passed: error === null, output });
    });
  });
}

const results = await Promise.all(CHECKS.map(run));
const failed = results.filter((result) => !result.passed);
for (const { name, output } of failed) console.log(`\n--- ${name} ---\n${output.trimEnd()}`);
if (failed.length > 0) console.log(`\nlint: FAILED (${failed.map((result) => result.name).join(", ")})`);
process.exitCode = failed.length > 0 ? 1 : 0;
