// Measures what the product promises about speed, beside its yardsticks, and writes the results.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Bench, isMet } from "./bench.ts";
import { cancel } from "./cancel/cancel.ts";
import { checkout } from "./checkout/checkout.ts";
import { fanOut } from "./fan-out/fan-out.ts";
import { firstLine } from "./first-line/first-line.ts";
import { install } from "./install/install.ts";
import { jobsPerSecond } from "./jobs-per-second/jobs-per-second.ts";
import { liveTail } from "./live-tail/live-tail.ts";
import { logIngest } from "./log-ingest/log-ingest.ts";
import { login } from "./login/login.ts";
import { lost } from "./lost/lost.ts";
import { describeMachine, loadAverages } from "./machine.ts";
import { memory } from "./memory/memory.ts";
import { renderAim, renderTable, writeSection } from "./results-file.ts";
import { provision } from "./provision/provision.ts";
import { reads } from "./reads/reads.ts";
import { scale } from "./scale/scale.ts";
import { steps } from "./steps/steps.ts";
import { validate } from "./validate/validate.ts";

const BENCHES: readonly Bench[] = [
  firstLine,
  steps,
  checkout,
  cancel,
  lost,
  memory,
  jobsPerSecond,
  logIngest,
  liveTail,
  fanOut,
  login,
  reads,
  validate,
  provision,
  scale,
  install,
];
const RESULTS_FILE = fileURLToPath(import.meta.resolve("../RESULTS.md"));
const BENCH_TIMEOUT_MS = 20 * 60_000;
const STOP_GRACE_MS = 10_000;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

async function measure(bench: Bench, quick: boolean, stop: AbortSignal): Promise<void> {
  const startedAt = new Date();
  const started = performance.now();
  const loadBefore = loadAverages();
  const machine = await describeMachine(bench.needsDocker);
  const say = (text: string) => console.log(`bench ${bench.name}: ${text}`);
  say(`${machine.processor}; ${machine.system}; ${machine.versions}; load ${loadBefore}`);
  const report = await withResources(stop, (resources) => bench.run({ quick, resources, stop, say }));
  const seconds = (performance.now() - started) / 1000;
  console.log(`\n${report.tables.map(renderTable).join("\n")}`);
  for (const aim of report.aims) say(renderAim(aim));
  if (quick) return;
  const section = { bench, report, machine, startedAt, seconds, loadBefore, loadAfter: loadAverages() };
  await writeSection(
    RESULTS_FILE,
    section,
    BENCHES.map(({ name }) => name),
  );
  say(`written to bench/RESULTS.md; ${report.aims.filter(isMet).length} of ${report.aims.length} aims met`);
}

/** Runs `work` until it is done, fails or is stopped; undoes all that it made in each case. */
async function withResources<T>(stop: AbortSignal, work: (resources: AsyncDisposableStack) => Promise<T>): Promise<T> {
  await using resources = new AsyncDisposableStack();
  const stopped = Promise.withResolvers<never>();
  // The sample under way ends first, so that nothing is made behind the back of the clean-up.
  const onStop = () => void setTimeout(() => stopped.reject(stop.reason), STOP_GRACE_MS).unref();
  stop.addEventListener("abort", onStop, { once: true });
  resources.defer(() => stop.removeEventListener("abort", onStop));
  return await Promise.race([work(resources), stopped.promise]);
}

function usage(): string {
  const names = BENCHES.map(({ name }) => name).join(", ");
  return `Usage: scripts/bench [--quick] [NAME…]

Measures beside yardsticks and writes bench/RESULTS.md. NAME is one of ${names}; default all.
--quick is a smoke test with small counts that writes no results.

  scripts/bench
  scripts/bench --quick steps cancel`;
}

function readArguments() {
  try {
    return parseArgs({
      options: { quick: { type: "boolean", default: false }, help: { type: "boolean", short: "h", default: false } },
      allowPositionals: true,
    });
  } catch (error) {
    console.error(`bench: ${(error as Error).message}\n\n${usage()}`);
    return null;
  }
}

async function main(): Promise<number> {
  const read = readArguments();
  if (read === null) return EXIT_USAGE;
  const { values, positionals } = read;
  if (values.help) {
    console.log(usage());
    return 0;
  }
  const unknown = positionals.filter((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown.length > 0) {
    console.error(`bench: there is no ${unknown.join(", ")}; there are ${BENCHES.map(({ name }) => name).join(", ")}`);
    return EXIT_USAGE;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // Not "once": execa ends the process at once when it finds its own listener alone.
    process.on(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  }
  for (const bench of BENCHES) {
    if (positionals.length > 0 && !positionals.includes(bench.name)) continue;
    await measure(bench, values.quick, AbortSignal.any([stop.signal, AbortSignal.timeout(BENCH_TIMEOUT_MS)]));
  }
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error("bench:", error);
  process.exitCode = EXIT_FAILED;
}
// What a stopped benchmark was still waiting for must not hold the process.
process.exit();
