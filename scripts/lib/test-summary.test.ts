import { describe, expect, it } from "vitest";
import { judgeTests, type TestOutcome, type TestRun } from "./test-summary.ts";

const TAGS = ["[docker]", "[postgres]"];

function run(tests: Array<[string, TestOutcome["state"]]>, rest: Partial<TestRun> = {}): TestRun {
  return { tests: tests.map(([name, state]) => ({ name, state })), errors: 0, finished: true, ...rest };
}

const green: Array<[string, TestOutcome["state"]]> = [
  ["store [postgres] > writes", "passed"],
  ["sandbox [docker] > runs", "passed"],
  ["labels > match", "passed"],
];

describe("the verdict on a test run", () => {
  it("passes a whole green run and counts every test once", () => {
    const verdict = judgeTests(run([...green, ["later", "skipped"]]), TAGS);
    expect(verdict).toEqual({ line: "tests: 3 passed, 0 failed, 1 skipped", problems: [], passed: true });
  });

  it("counts a test that failed and one that never ended", () => {
    const verdict = judgeTests(run([...green, ["a", "failed"], ["b", "pending"]]), TAGS);
    expect(verdict).toMatchObject({ line: "tests: 3 passed, 2 failed, 0 skipped", passed: false });
  });

  it.each([
    ["nothing ran", run([]), "no test passed"],
    ["everything was skipped", run([["a", "skipped"]]), "no test passed"],
    ["it was broken off", run(green, { finished: false }), "the run was broken off"],
    ["a file or a promise failed outside the tests", run(green, { errors: 1 }), "1 errors outside the tests"],
  ])("fails, as one failure, when %s", (_case, broken, problem) => {
    const verdict = judgeTests(broken, []);
    expect(verdict.problems).toContain(problem);
    expect(verdict.line).toContain(", 1 failed,");
    expect(verdict.passed).toBe(false);
  });

  it("fails when the tests of a tag are not there", () => {
    const verdict = judgeTests(run(green.slice(1)), TAGS);
    expect(verdict).toMatchObject({ line: "tests: 2 passed, 1 failed, 0 skipped", passed: false });
    expect(verdict.problems).toEqual(["no [postgres] test passed"]);
  });

  it("fails when one test of a tag is skipped, also if others passed", () => {
    const verdict = judgeTests(run([...green, ["sandbox [docker] > cancels", "skipped"]]), TAGS);
    expect(verdict).toMatchObject({ problems: ["1 [docker] tests did not run"], passed: false });
  });

  it("demands no tag of a run of chosen tests", () => {
    expect(judgeTests(run([["labels > match", "passed"]]), []).passed).toBe(true);
  });
});
