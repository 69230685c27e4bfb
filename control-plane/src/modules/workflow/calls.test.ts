import { describe, expect, it } from "vitest";
import { CallLinker, parseWorkflow, type WorkflowPlan } from "./public.ts";

const HEAD = "name: a\nrunner: x\n";
const STEPS = "steps: [{ run: x }]";
const CALL = "./.shipfox/workflows/called.yml";

/** A workflow of one job `call`, of which `lines` are more. */
const caller = (lines = "", uses = CALL) => `${HEAD}jobs:
  call:
    uses: ${uses}
${lines.replaceAll(/^(?=.)/gm, "    ")}
`;
const one = (top = "") => `${HEAD}${top}jobs: { build: { ${STEPS} } }\n`;

type Files = Record<string, string>;

function link(files: Files, first = "first.yml") {
  const linker = new CallLinker((path) => {
    const yaml = files[path.replace(".shipfox/workflows/", "")];
    const read = yaml === undefined ? undefined : parseWorkflow(yaml);
    return read?.ok ? { ok: true, plan: read.model } : read;
  });
  const read = parseWorkflow(files[first] ?? "");
  return read.ok ? linker.link(read.model, `.shipfox/workflows/${first}`) : read;
}

function planOf(files: Files): WorkflowPlan {
  const linked = link(files);
  if (!linked.ok || !("plan" in linked)) throw new Error(JSON.stringify(linked));
  return linked.plan;
}

function faultsOf(files: Files, first?: string): string[] {
  const linked = link(files, first);
  return linked.ok ? [] : linked.diagnostics.map(({ code, path, line, column }) => `${code} ${path} ${line}:${column}`);
}

describe("a job that calls a workflow", () => {
  it.each<[string, string]>([
    ["nothing more", ""],
    [
      "needs, a condition and a name",
      "name: Call\nneeds: []\n".replace("needs: []\n", "") + "if: ${{ run.number > 1 }}",
    ],
    ["inputs", 'with: { a: 1, b: true, c: "", d: "x ${{ inputs.y }}", e: "${{ vars.E }}" }'],
    ["a matrix, whose values go into the inputs", 'matrix: { v: [1, 2] }\nwith: { v: "${{ matrix.v }}" }'],
  ])("may have %s", (_title, lines) => {
    expect(parseWorkflow(caller(lines))).toMatchObject({ ok: true, warnings: [], notRunnable: [] });
  });

  it.each<[string, string, string]>([
    ["steps", STEPS, "unsupported-key jobs.call.steps"],
    ["a runner", "runner: x", "unsupported-key jobs.call.runner"],
    ["an environment", "env: { A: b }", "unsupported-key jobs.call.env"],
    ["outputs", "outputs: { a: b }", "unsupported-key jobs.call.outputs"],
    ["retries", "retry: 1", "unsupported-key jobs.call.retry"],
    ["secrets", "secrets: inherit", "unsupported-key jobs.call.secrets"],
    ["a key that no job has", "stpes: []", "unknown-key jobs.call"],
    ["a list as an input", "with: { a: [1] }", "invalid-type jobs.call.with.a"],
    ["an input whose name is no identifier", "with: { a-b: 1 }", "invalid-value jobs.call.with.a-b"],
    ["a secret as an input", 'with: { a: "${{ secrets.A }}" }', "runner-context-in-field jobs.call.with.a"],
    [
      "an input of a job it does not need",
      'with: { a: "${{ jobs.b.status }}" }',
      "missing-job-needs-edge jobs.call.with.a",
    ],
    [
      "an input of steps, which it has not",
      'with: { a: "${{ steps.b }}" }',
      "context-unavailable-at-fill-site jobs.call.with.a",
    ],
    ["a need that does not exist", "needs: b", "unknown-job-dependency jobs.call.needs"],
  ])("may not have %s", (_title, lines, expected) => {
    const result = parseWorkflow(caller(lines));
    expect(result.ok ? [] : result.diagnostics.map(({ code, path }) => `${code} ${path}`)).toContain(expected);
  });

  it.each([
    "deploy.yml",
    ".shipfox/workflows/a.yml",
    "./.github/workflows/a.yml",
    "./.shipfox/workflows/../a.yml",
    "./.shipfox/workflows/a.txt",
    "./.shipfox/workflows/a.yml@v1",
    "owner/repo/.shipfox/workflows/a.yml@main",
  ])("names a workflow file of its repository, which %s is not", (uses) => {
    expect(faultsOf({ "first.yml": caller("", uses) })).toEqual(["invalid-value jobs.call.uses 5:11"]);
  });

  it("may name a file of a folder in the folder of workflows", () => {
    const uses = "./.shipfox/workflows/lib/a.yaml";
    expect(planOf({ "first.yml": caller("", uses), "lib/a.yaml": one() }).jobs).toHaveLength(2);
  });
});

describe("a workflow that calls another", () => {
  it("has that one's jobs behind the call, under its key", () => {
    const called = `${HEAD}outputs: { v: "\${{ jobs.test.status }}" }
jobs:
  build: { artifacts: { upload: [{ name: app, paths: [a] }] }, ${STEPS} }
  test:
    needs: build
    matrix: { n: [1, 2] }
    artifacts: { download: [{ job: build, name: app }] }
    ${STEPS}
`;
    const { jobs } = planOf({ "first.yml": caller(), "called.yml": called });
    expect(jobs).toMatchObject([
      { key: "call", call: { path: ".shipfox/workflows/called.yml", with: {} }, needs: [], runner: [], steps: [] },
      { key: "call/build", within: "call", file: ".shipfox/workflows/called.yml", needs: [] },
      {
        key: "call/test (1)",
        within: "call",
        needs: ["call/build"],
        matrix: { job: "call/test", values: { n: 1 } },
        downloads: [{ job: "call/build", name: "app" }],
      },
      { key: "call/test (2)" },
    ]);
    expect(jobs[0]?.outputs).toEqual({ v: [expect.objectContaining({ source: "jobs.test.status" })] });
    expect(jobs[0]?.call).not.toHaveProperty("places");
  });

  it("may call one that calls one, each under the key of the other", () => {
    const { jobs } = planOf({
      "first.yml": caller("", "./.shipfox/workflows/b.yml"),
      "b.yml": caller(),
      "called.yml": one(),
    });
    expect(jobs.map(({ key, within, file }) => [key, within, file])).toEqual([
      ["call", undefined, undefined],
      ["call/call", "call", ".shipfox/workflows/b.yml"],
      ["call/call/build", "call/call", ".shipfox/workflows/called.yml"],
    ]);
  });

  const DECLARED = `inputs:
  text: { type: string, required: true }
  count: { type: number }
  force: { type: boolean, default: false }
  to: { type: choice, options: [dev, live] }
`;
  it.each<[string, string, string[]]>([
    ["are what it declares", 'with: { text: a, count: 1, force: true, to: "live" }', []],
    ["may be expressions", 'with: { text: "${{ run.name }}", count: "${{ run.number }}" }', []],
    ["may mix text with expressions", 'with: { text: "a ${{ run.name }}" }', []],
    ["must have what is required", "", ["invalid-call-input jobs.call.with.text 5:11"]],
    ["have no other names", "with: { text: a, txet: b }", ["invalid-call-input jobs.call.with.txet 6:22"]],
    ["are not numbers for text", "with: { text: 1 }", ["invalid-call-input jobs.call.with.text 6:13"]],
    ["are not text for numbers", 'with: { text: a, count: "1" }', ["invalid-call-input jobs.call.with.count 6:22"]],
    [
      "are no text around an expression for a number",
      'with: { text: a, count: "1${{ run.number }}" }',
      ["invalid-call-input jobs.call.with.count 6:22"],
    ],
    ["are one of the options", "with: { text: a, to: test }", ["invalid-call-input jobs.call.with.to 6:22"]],
  ])("gives inputs that %s", (_title, lines, expected) => {
    expect(faultsOf({ "first.yml": caller(lines), "called.yml": one(DECLARED) })).toEqual(expected);
  });

  it("may give what the manual trigger of the called one declares", () => {
    const trigger = "triggers: { hand: { source: manual, event: fire, inputs: { a: { type: string } } } }\n";
    expect(faultsOf({ "first.yml": caller("with: { a: x }"), "called.yml": one(trigger) })).toEqual([]);
    expect(faultsOf({ "first.yml": caller("with: { a: x }"), "called.yml": one() })).toEqual([
      "invalid-call-input jobs.call.with.a 6:13",
    ]);
  });

  it("declares inputs in one place, which are those of its manual trigger as well", () => {
    const inputs = "inputs: { a: { type: string } }\n";
    const trigger = (more = "") => `triggers: { hand: { source: manual, event: fire${more} } }\n`;
    expect(planOf({ "first.yml": one(inputs + trigger()) }).manualTrigger?.inputs).toEqual({ a: { type: "string" } });
    expect(faultsOf({ "first.yml": one(inputs + trigger(", inputs: { b: { type: string } }")) })).toEqual([
      "invalid-value triggers.hand.inputs 4:50",
    ]);
  });

  it("publishes what its own jobs publish", () => {
    expect(faultsOf({ "first.yml": one('outputs: { v: "${{ jobs.build.outputs.x }} ${{ inputs.y }}" }\n') })).toEqual(
      [],
    );
    expect(faultsOf({ "first.yml": one('outputs: { v: "${{ jobs.biuld.outputs.x }}" }\n') })).toEqual([
      "unknown-job-dependency outputs.v 3:15",
    ]);
  });

  it("names the called file that is missing, or its first fault, at `uses`", () => {
    expect(faultsOf({ "first.yml": caller() })).toEqual(["unknown-called-workflow jobs.call.uses 5:11"]);
    const linked = link({ "first.yml": caller(), "called.yml": `${HEAD}jobs: { b: { stpes: [] } }\n` });
    expect(linked).toMatchObject({
      ok: false,
      diagnostics: [
        {
          code: "invalid-called-workflow",
          path: "jobs.call.uses",
          message: expect.stringMatching(
            /^`\.shipfox\/workflows\/called\.yml` has a fault: line 3, column 14: .*`stpes`/,
          ),
        },
      ],
    });
  });

  it("has the fault of a call in the called file as its own", () => {
    const files = { "first.yml": caller("", "./.shipfox/workflows/b.yml"), "b.yml": caller() };
    expect(faultsOf(files)).toEqual(["invalid-called-workflow jobs.call.uses 5:11"]);
    expect(faultsOf(files, "b.yml")).toEqual(["unknown-called-workflow jobs.call.uses 5:11"]);
  });

  it("calls none that calls it", () => {
    const circle = {
      "first.yml": caller("", "./.shipfox/workflows/b.yml"),
      "b.yml": caller("", "./.shipfox/workflows/first.yml"),
    };
    expect(faultsOf(circle)).toEqual(["invalid-called-workflow jobs.call.uses 5:11"]);
    expect(faultsOf(circle, "b.yml")).toEqual(["invalid-called-workflow jobs.call.uses 5:11"]);
    expect(faultsOf({ "called.yml": caller() }, "called.yml")).toEqual(["workflow-call-cycle jobs.call.uses 5:11"]);
  });

  const chain = (length: number): Files => ({
    "first.yml": caller("", "./.shipfox/workflows/c1.yml"),
    ...Object.fromEntries(
      Array.from({ length }, (_, index) => [
        `c${index + 1}.yml`,
        index + 1 === length ? one() : caller("", `./.shipfox/workflows/c${index + 2}.yml`),
      ]),
    ),
  });
  it("nests calls four deep and no deeper", () => {
    expect(planOf(chain(4)).jobs).toHaveLength(5);
    expect(faultsOf(chain(5))).toEqual(["workflow-call-depth jobs.call.uses 5:11"]);
  });

  it("has as many jobs as any workflow, those of calls in calls counted each time", () => {
    const calls = (count: number, uses: string) =>
      `${HEAD}jobs:\n${Array.from({ length: count }, (_, index) => `  c${index}: { uses: ./.shipfox/workflows/${uses} }\n`).join("")}`;
    const files = { "b.yml": calls(30, "called.yml"), "called.yml": one() };
    expect(planOf({ ...files, "first.yml": calls(16, "b.yml") }).jobs).toHaveLength(16 * 61);
    expect(faultsOf({ ...files, "first.yml": calls(17, "b.yml") })).toEqual([
      expect.stringMatching(/^workflow-too-large jobs\.c16\.uses /),
    ]);
  });

  it("has no two jobs of one key", () => {
    const yaml = `${HEAD}jobs:\n  call: { uses: ${CALL} }\n  call/build: { ${STEPS} }\n`;
    expect(faultsOf({ "first.yml": yaml, "called.yml": one() })).toEqual(["duplicate-job-id jobs.call.uses 4:17"]);
  });

  it("says once of a matrix what is wrong with its call", () => {
    const yaml = caller("matrix: { v: [1, 2] }\nwith: { a: x }");
    expect(faultsOf({ "first.yml": yaml, "called.yml": one() })).toEqual(["invalid-call-input jobs.call.with.a 7:13"]);
  });

  it("cannot run what of the called one this version does not run", () => {
    const called = `${HEAD}jobs: { b: { steps: [{ prompt: hello }] } }\n`;
    const plan = planOf({ "first.yml": caller(), "called.yml": called });
    expect(plan.notRunnable).toMatchObject([{ code: "not-runnable-yet", path: "jobs.call.uses", line: 5 }]);
  });

  it("lists the files that it calls, each once", () => {
    const yaml = `${HEAD}jobs:\n  a: { uses: ${CALL} }\n  b: { uses: ./.shipfox/workflows/b.yml }\n`;
    expect(link({ "first.yml": yaml, "b.yml": caller(), "called.yml": one() })).toMatchObject({
      called: [".shipfox/workflows/called.yml", ".shipfox/workflows/b.yml"],
    });
  });
});
