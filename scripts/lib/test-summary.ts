/** One test as the summary sees it. */
export interface TestOutcome {
  /** File, describe names and test name; carries the tags. */
  name: string;
  state: "passed" | "failed" | "skipped" | "pending";
  /** It passed, but only when it was tried again. */
  flaky?: boolean;
}

/** All that a run of the suite reports. */
export interface TestRun {
  tests: TestOutcome[];
  /** Files that failed outside a test, and errors nobody caught. */
  errors: number;
  /** False when the run was broken off. */
  finished: boolean;
}

/** What the run amounts to: `line` is the last line to print; `problems` are the reasons to fail besides failed tests. */
export interface TestVerdict {
  line: string;
  problems: string[];
  passed: boolean;
}

/**
 * Sums a run up.
 *
 * Errors outside tests, tests that never ended and a run broken off count as failed. A tag, such as `[docker]` in a
 * test's name, marks a part of the suite that must not silently drop out: of each tag in `demandedTags` at least one
 * test must have passed and none may be skipped.
 */
export function judgeTests(run: TestRun, demandedTags: readonly string[]): TestVerdict {
  const count = (state: TestOutcome["state"]) => run.tests.filter((test) => test.state === state).length;
  const passed = count("passed");
  const skipped = count("skipped");
  const problems: string[] = [];

  if (passed === 0) problems.push("no test passed");
  if (!run.finished) problems.push("the run was broken off");
  if (run.errors > 0) problems.push(`${run.errors} errors outside the tests`);
  for (const tag of demandedTags) {
    const tagged = run.tests.filter((test) => test.name.includes(tag));
    const left = tagged.filter((test) => test.state === "skipped" || test.state === "pending").length;
    if (!tagged.some((test) => test.state === "passed")) problems.push(`no ${tag} test passed`);
    if (left > 0) problems.push(`${left} ${tag} tests did not run`);
  }

  const failedTests = count("failed") + count("pending") + run.errors;
  const failed = failedTests === 0 && problems.length > 0 ? 1 : failedTests;
  return {
    line: `tests: ${passed} passed, ${failed} failed, ${skipped} skipped`,
    problems,
    passed: failed === 0,
  };
}
