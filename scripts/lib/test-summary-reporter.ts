import { writeFileSync } from "node:fs";
import type { Reporter, SerializedError, TestModule, TestRunEndReason } from "vitest/node";
import { faultTable } from "./fault-table.ts";
import { judgeTests, type TestOutcome } from "./test-summary.ts";

/** Tags, separated by blanks, of which tests must have run; set by scripts/test for a run of the whole suite. */
const DEMANDED_TAGS_VARIABLE = "SHIPFOX_TEST_DEMANDED_TAGS";
/** A file to write the line into instead of printing it, for a caller with a last word of its own. */
const LINE_FILE_VARIABLE = "SHIPFOX_TEST_LINE_FILE";

/** Ends a run with the line `tests: N passed, N failed, N skipped`, and fails it when the line would hide something. */
export class SummaryReporter implements Reporter {
  #verdict = judgeTests({ tests: [], errors: 0, finished: false }, []);

  onInit(): void {
    // Whatever else has a word at the end (coverage, other reporters), this line is the last one.
    process.once("exit", () => {
      const file = process.env[LINE_FILE_VARIABLE];
      if (file === undefined) console.log(this.#verdict.line);
      else writeFileSync(file, `${this.#verdict.line}\n`);
      // Only here it is the last word: a library of ours ends every process that comes to its end with exit code 0.
      if (!this.#verdict.passed) process.exitCode = 1;
    });
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[], reason: TestRunEndReason): void {
    const tests = modules.flatMap((module) =>
      Array.from(module.children.allTests(), (test): TestOutcome => {
        const flaky = test.diagnostic()?.flaky ?? false;
        return { name: `${module.relativeModuleId} > ${test.fullName}`, state: test.result().state, flaky };
      }),
    );
    const errors = modules.reduce((total, module) => total + errorsOutsideTests(module), unhandled.length);
    const tags = (process.env[DEMANDED_TAGS_VARIABLE] ?? "").split(" ").filter((tag) => tag !== "");
    this.#verdict = judgeTests({ tests, errors, finished: reason !== "interrupted" }, tags);
    for (const line of faultTable(tests)) console.log(line);
    for (const { name } of tests.filter(({ flaky }) => flaky))
      console.log(`flaky: out of time once, then passed: ${name}`);
    for (const problem of this.#verdict.problems) console.error(`test run: ${problem}`);
  }
}

/** A file that does not load, or a hook that fails, fails no single test: its tests are then only skipped. */
function errorsOutsideTests(module: TestModule): number {
  const suites = Array.from(module.children.allSuites());
  return [module, ...suites].reduce((total, place) => total + place.errors().length, 0);
}
