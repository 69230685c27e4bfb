import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { axesOf, type Combination, combinationsOf, countOf } from "./model/matrix.ts";
import { parseWorkflow, type WorkflowPlan } from "./public.ts";

/** A workflow whose job `test` has the lines, and a job `after` that needs it. */
function withMatrix(lines: string): string {
  return `name: a
runner: x
jobs:
  test:
${lines.replaceAll(/^/gm, "    ")}
    steps: [{ run: x }]
  after:
    needs: test
    steps: [{ run: x }]
`;
}

function planOf(yaml: string): WorkflowPlan {
  const result = parseWorkflow(yaml);
  if (!result.ok) throw new Error(JSON.stringify(result.diagnostics));
  return result.model;
}

const keysOf = (lines: string) => planOf(withMatrix(lines)).jobs.map(({ key }) => key);

describe("a matrix", () => {
  it.each<[string, string, string[]]>([
    ["has a job for each value", "matrix: { node: [20, 22] }", ["test (20)", "test (22)"]],
    [
      "has a job for each combination, the last axis changing first",
      "matrix: { node: [20, 22], os: [linux, mac] }",
      ["test (20, linux)", "test (20, mac)", "test (22, linux)", "test (22, mac)"],
    ],
    [
      "leaves out what `exclude` names",
      "matrix: { node: [20, 22], os: [linux, mac], exclude: [{ node: 20, os: mac }] }",
      ["test (20, linux)", "test (22, linux)", "test (22, mac)"],
    ],
    [
      "gets further values from `include`",
      "matrix: { node: [20, 22], include: [{ node: 22, slow: true }] }",
      ["test (20)", "test (22, true)"],
    ],
    [
      "gets further jobs from `include`",
      "matrix: { node: [20], include: [{ node: 26, os: mac }] }",
      ["test (20)", "test (26, mac)"],
    ],
    ["may consist of `include` alone", "matrix: { include: [{ a: 1 }, { b: x }] }", ["test (1)", "test (x)"]],
    ["tells texts from numbers in `exclude`", 'matrix: { v: [1, x], exclude: [{ v: "1" }] }', ["test (1)", "test (x)"]],
    ["takes names of JavaScript's own for axes", "matrix: { constructor: [a] }", ["test (a)"]],
  ])("%s", (_title, lines, expected) => {
    expect(keysOf(lines)).toEqual([...expected, "after"]);
  });

  it("puts its values into names, images and runner labels when the file is read", () => {
    const { jobs } = planOf(
      withMatrix(`name: Test
matrix: { node: [20], os: [Linux], include: [{ extra: 1.5 }] }
runner: [big, "\${{ matrix.os }}", "\${{ matrix.os }}-\${{ vars.SIZE }}"]
image: { name: "registry.example/node:\${{ matrix.node }}", pull: always }
services: { db: "postgres:\${{ matrix.node }}" }`),
    );
    expect(jobs[0]).toMatchObject({
      key: "test (20, Linux, 1.5)",
      name: "Test (20, Linux, 1.5)",
      matrix: { job: "test", values: { node: 20, os: "Linux", extra: 1.5 }, maxParallel: null, failFast: true },
      runner: ["big", "linux"],
      runnerTemplates: [{}],
      image: "registry.example/node:20",
      services: [{ name: "db", image: "postgres:20" }],
    });
    expect(jobs[1]).toMatchObject({ key: "after", needs: ["test"] });
  });

  it("gives every name a value in every job", () => {
    const { jobs } = planOf(withMatrix("matrix: { node: [20, 22], include: [{ node: 22, slow: true }] }"));
    expect(jobs.map(({ matrix }) => matrix?.values)).toEqual([
      { node: 20, slow: null },
      { node: 22, slow: true },
      undefined,
    ]);
  });

  it.each<[string, string, string]>([
    ["without an axis", "matrix: { fail_fast: true }", "invalid-value 5:13 jobs.test.matrix"],
    ["that is a list", "matrix: [1]", "invalid-type 5:13 jobs.test.matrix"],
    ["with an axis that is no list", "matrix: { node: 20 }", "invalid-type 5:21 jobs.test.matrix.node"],
    ["with an axis without values", "matrix: { node: [] }", "invalid-value 5:21 jobs.test.matrix.node"],
    ["with a value that is a list", "matrix: { node: [[1]] }", "invalid-type 5:22 jobs.test.matrix.node.0"],
    [
      "with a value that is an expression",
      'matrix: { node: ["${{ vars.V }}"] }',
      "unsupported-expression 5:22 jobs.test.matrix.node.0",
    ],
    ["with an axis that is no identifier", "matrix: { a-b: [1] }", "invalid-value 5:15 jobs.test.matrix.a-b"],
    ["with room for no job", "matrix: { a: [1], max_parallel: 0 }", "invalid-value 5:37 jobs.test.matrix.max_parallel"],
    [
      "that excludes by another name",
      "matrix: { a: [1], exclude: [{ b: 1 }] }",
      "unknown-matrix-axis 5:35 jobs.test.matrix.exclude.0.b",
    ],
    ["that excludes all", "matrix: { a: [1], exclude: [{ a: 1 }] }", "invalid-value 5:5 jobs.test.matrix"],
    ["with a combination twice", 'matrix: { a: [1, "1"] }', "invalid-value 5:5 jobs.test.matrix"],
    [
      "that makes an image of no form",
      'matrix: { a: ["?"] }\nimage: node:${{ matrix.a }}',
      "invalid-value 5:5 jobs.test.matrix",
    ],
    [
      "that makes a label of no form",
      'matrix: { a: ["", x] }\nrunner: "${{ matrix.a }}"',
      "invalid-value 5:5 jobs.test.matrix",
    ],
    ["and outputs", "matrix: { a: [1] }\noutputs: { v: x }", "invalid-value 6:5 jobs.test.outputs"],
    ["of many jobs", `matrix: { a: [${"1, ".repeat(501)}] }`, "workflow-too-large 5:5 jobs.test.matrix"],
    [
      "of many combinations",
      `matrix: { ${["a", "b", "c", "d", "e", "f", "g"].map((axis) => `${axis}: [${"1, ".repeat(500)}]`).join(", ")} }`,
      "workflow-too-large 5:5 jobs.test.matrix",
    ],
    [
      "of large jobs",
      `matrix: { a: [${Array.from({ length: 500 }, (_, index) => index).join(", ")}] }\nenv: { V: "${"x".repeat(20_000)}" }`,
      "workflow-too-large 4:3 jobs.test",
    ],
    [
      "whose axis is misspelt by an expression",
      "matrix: { node: [1] }\nexecution_name: ${{ matrix.nod }}",
      "unknown-matrix-axis 6:21 jobs.test.execution_name",
    ],
    [
      "of which no axis is named",
      "matrix: { node: [1] }\nif: ${{ matrix['node'] == 1 }}",
      "computed-context-key 6:9 jobs.test.if",
    ],
    [
      "whose axis is misspelt by an image",
      "matrix: { node: [1] }\nimage: node:${{ matrix.nod }}",
      "unknown-matrix-axis 6:12 jobs.test.image",
    ],
    [
      "that an image computes with",
      "matrix: { node: [1] }\nimage: node:${{ matrix.node + 1 }}",
      "unsupported-expression 6:12 jobs.test.image",
    ],
    ["that is not there", "env: { V: '${{ matrix.node }}' }", "context-unavailable-at-fill-site 5:15 jobs.test.env.V"],
    [
      "that is not there for an image",
      "image: node:${{ matrix.node }}",
      "context-unavailable-at-fill-site 5:12 jobs.test.image",
    ],
  ])("%s is refused", (_title, lines, expected) => {
    const result = parseWorkflow(withMatrix(lines));
    const diagnostics = result.ok ? [] : result.diagnostics;
    expect(diagnostics.map(({ code, line, column, path }) => `${code} ${line}:${column} ${path}`)).toEqual([expected]);
  });

  it.each<[string, string, string | null]>([
    ["one of its jobs", "test (2)", null],
    [
      "all of them, which would be one name for many files",
      "test",
      "invalid-value 7:36 jobs.after.artifacts.download.0.job",
    ],
    ["none of its jobs", "test (3)", "invalid-value 7:36 jobs.after.artifacts.download.0.job"],
  ])("gives artifacts of %s", (_title, from, expected) => {
    const result = parseWorkflow(`name: a
runner: x
jobs:
  test: { matrix: { v: [1, 2] }, artifacts: { upload: [{ name: app, paths: [x] }] }, steps: [{ run: x }] }
  after:
    needs: test
    artifacts: { download: [{ job: "${from}", name: app }] }
    steps: [{ run: x }]
`);
    const [found] = result.ok ? [] : result.diagnostics;
    expect(found ? `${found.code} ${found.line}:${found.column} ${found.path}` : null).toBe(expected);
  });

  it("may not take the key of another job", () => {
    const yaml =
      'name: a\nrunner: x\njobs:\n  test: { matrix: { v: [1] }, steps: [{ run: x }] }\n  "test (1)": { steps: [{ run: x }] }\n';
    expect(parseWorkflow(yaml)).toMatchObject({ ok: false, diagnostics: [{ code: "duplicate-job-id", line: 5 }] });
  });

  it("warns of values that YAML reads as others", () => {
    const result = parseWorkflow(withMatrix("matrix: { go: [1.20, 1.21], include: [{ v: 0x1F }] }"));
    expect(result.ok && result.warnings.map(({ code, path }) => `${code} ${path}`)).toEqual([
      "rewritten-env-value jobs.test.matrix.go.0",
      "rewritten-env-value jobs.test.matrix.include.0.v",
    ]);
  });
});

describe("the combinations of a matrix", () => {
  const values = fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
  const entries = fc.array(
    fc.dictionary(fc.constantFrom("a", "b", "c"), fc.integer({ min: 1, max: 5 }), { minKeys: 1 }),
  );
  const matrices = fc.record({ a: values, b: values, include: entries, exclude: entries });

  it("are as many as counted at most, have every axis, and none that is excluded and not included", () => {
    fc.assert(
      fc.property(matrices, (matrix) => {
        const combinations = combinationsOf(matrix);
        expect(combinations.length).toBeLessThanOrEqual(countOf(matrix));
        const holds = (combination: Combination, entry: Combination) =>
          Object.entries(entry).every(([name, value]) => combination[name] === value);
        for (const combination of combinations) {
          expect(Object.keys(combination).every((name) => axesOf(matrix).has(name))).toBe(true);
          const isIncluded = matrix.include.some((entry) => holds(combination, entry));
          if (isIncluded) continue;
          expect(Object.keys(combination).sort()).toEqual(["a", "b"]);
          expect(matrix.exclude.some((entry) => holds(combination, entry))).toBe(false);
        }
      }),
    );
  });
});
