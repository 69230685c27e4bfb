// The soak; scripts/soak prepares the machine for it and explains it.
import { join } from "node:path";
import { REPOSITORY_ROOT } from "../src/programs.ts";
import { Stage } from "../src/stage.ts";
import { readSoakCommand, SOAK_HELP, UsageError } from "./options.ts";
import { provisionerSoak } from "./provisioner-soak.ts";
import { runnerSoak } from "./runner-soak.ts";
import { complaints, renderSoak, writeSoak } from "./table.ts";

const RESULT_FILE = join(REPOSITORY_ROOT, "docs/reliability.md");
/** Each with the mark of its place in that file. */
const SOAKS = {
  runners: { soak: runnerSoak, mark: "soak" },
  provisioner: { soak: provisionerSoak, mark: "provisioner-soak" },
};
const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const EXIT_INTERRUPTED = 130;

const say = (line: string) => console.log(`soak: ${line}`);

async function main(): Promise<number> {
  const command = readSoakCommand(process.argv.slice(2));
  if (command.help) {
    process.stdout.write(SOAK_HELP);
    return 0;
  }
  const stage = new Stage();
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
  try {
    const { soak, mark } = SOAKS[command.kind];
    const report = await soak(stage, command, { say, stop: stop.signal });
    const table = renderSoak(report);
    const wrong = complaints(report);
    console.log(`\n${table}\n`);
    for (const line of wrong) say(line);
    if (wrong.length > 0) stage.printOutputs();
    if (command.write) await writeSoak(RESULT_FILE, mark, table);
    return wrong.length === 0 ? 0 : EXIT_FAILED;
  } catch (error) {
    if (stop.signal.aborted) return EXIT_INTERRUPTED;
    stage.printOutputs();
    throw error;
  } finally {
    await stage.end();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error("soak:", error instanceof UsageError ? error.message : error);
  process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
}
