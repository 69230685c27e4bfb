import { describe, expect, it } from "vitest";
import { evaluate } from "../public.ts";
import { accepts, job, pair, refuses, steps, top } from "./cases.fixture.ts";

const STEP = "jobs.a.steps.0";

/** Each place for a template, with the marked value in it. */
const FIELDS: Record<string, { at: (value: string) => string; path: string }> = {
  run_name: { at: (value) => top(`run_name: ${value}`), path: "run_name" },
  "a runner label": { at: (value) => job(`runner: ${value}`), path: "jobs.a.runner.0" },
  "an execution name": { at: (value) => job(`execution_name: ${value}`), path: "jobs.a.execution_name" },
  "a job output": { at: (value) => job(`outputs: { v: ${value} }`), path: "jobs.a.outputs.v" },
  "a command": { at: (value) => steps(`- run: ${value}`), path: `${STEP}.run` },
  "a variable of a step": { at: (value) => steps(`- { run: x, env: { A: ${value} } }`), path: `${STEP}.env.A` },
  "a variable of a job": { at: (value) => job(`env: { A: ${value} }`), path: "jobs.a.env.A" },
  "a variable of the workflow": { at: (value) => top(`env: { A: ${value} }`), path: "env.A" },
  "the name of a step": { at: (value) => steps(`- { run: x, name: ${value} }`), path: `${STEP}.name` },
  "a folder": { at: (value) => steps(`- { run: x, working_directory: ${value} }`), path: `${STEP}.working_directory` },
  "a prompt": { at: (value) => steps(`- prompt: ${value}`), path: `${STEP}.prompt` },
  "a model": { at: (value) => steps(`- { prompt: p, model: ${value} }`), path: `${STEP}.model` },
  "a provider": { at: (value) => steps(`- { prompt: p, provider: ${value} }`), path: `${STEP}.provider` },
  "a thinking level": { at: (value) => steps(`- { prompt: p, thinking: ${value} }`), path: `${STEP}.thinking` },
  "the ref of a checkout": { at: (value) => steps(`- checkout: { ref: ${value} }`), path: `${STEP}.checkout.ref` },
  "the path of a checkout": { at: (value) => steps(`- checkout: { path: ${value} }`), path: `${STEP}.checkout.path` },
  feedback: {
    at: (value) =>
      steps(`- { key: k, run: x }\n- { run: y, gate: { on_failure: { restart_from: k, feedback: ${value} } } }`),
    path: "jobs.a.steps.1.gate.on_failure.feedback",
  },
};
const quoted = (source: string) => JSON.stringify(`\${{ ${source} }}`);

/** One expression for each root, and the fields that may read it. */
const NOT_FOR_ALL = {
  "event.a": ["feedback"],
  "inputs.a": ["feedback"],
  "run.number": ["feedback"],
  "trigger.ref": ["feedback"],
  "workflow.name": ["feedback"],
  "job.key": ["run_name", "feedback"],
  "execution.index": ["run_name", "feedback"],
  "executions.size()": ["run_name", "feedback"],
  "needs.size()": ["run_name", "a job output", "feedback"],
  "steps.k.status": ["run_name", "a runner label", "an execution name", "feedback"],
  "vars.A": [] as string[],
};

describe("what a field can read", () => {
  for (const [source, fields] of Object.entries(NOT_FOR_ALL)) {
    const may = Object.entries(FIELDS).filter(([field]) => !fields.includes(field));
    accepts(may.map(([field, { at }]) => [`${source} in ${field}`, at(quoted(source))]));
    refuses(
      fields.map((field) => {
        const { at, path } = FIELDS[field] as (typeof FIELDS)[string];
        return [`${source} in ${field}`, at(`‸${quoted(source)}`), `context-unavailable-at-fill-site ${path}`];
      }),
    );
  }
  const forSecrets = ["a command", "a variable of a step", "a variable of a job", "a variable of the workflow"];
  accepts(
    forSecrets.map((field) => [
      `a secret in ${field}`,
      (FIELDS[field] as (typeof FIELDS)[string]).at(quoted("secrets.A")),
    ]),
  );
  refuses(
    Object.entries(FIELDS)
      .filter(([field]) => !forSecrets.includes(field))
      .map(([field, { at, path }]) => [
        `a secret in ${field}`,
        at(`‸${quoted("secrets.A")}`),
        `runner-context-in-field ${path}`,
      ]),
  );
  refuses(
    Object.entries(FIELDS).map(([field, { at, path }]) => [
      `an unknown name in ${field}`,
      at(`‸${quoted("github.sha")}`),
      `unknown-interpolation-context ${path}`,
    ]),
  );
  refuses(
    Object.entries(FIELDS).map(([field, { at, path }]) => [
      `an expression without end in ${field}`,
      at(`‸${JSON.stringify("${{ vars.A")}`),
      `invalid-interpolation-template ${path}`,
    ]),
  );
});

describe("an expression", () => {
  const command = (source: string, code: string, suggestion = ""): [string, string, string] => [
    source,
    steps(`- run: ‸${JSON.stringify(`echo \${{ ${source} }}`)}`),
    `${code} ${STEP}.run${suggestion}`,
  ];
  refuses([
    ...[
      "",
      " ",
      "a.?b",
      "event.a +",
      "event.",
      "(event.a",
      "'a",
      "event.a ? 1",
      "event..a",
      "1 2",
      "event[",
      "event.a.b c",
      "&& true",
      "event.`a`",
      "[1,",
      "{'a'}",
      "not event.a",
      "event.a === 1",
    ].map((source) => command(source, "invalid-interpolation-template")),
    command("contxt.a", "unknown-interpolation-context"),
    command("input.a", "unknown-interpolation-context", " → inputs"),
    command("Event.a", "unknown-interpolation-context", " → event"),
    ...["env.A", "github.sha", "runner.os", "strategy.x", "job_name", "string", "this.a"].map((source) =>
      command(source, "unknown-interpolation-context"),
    ),
    ...[
      'vars["A"]',
      "vars.lower",
      "vars",
      "vars.a.b",
      "size(vars)",
      "vars[event.a]",
      "secrets.lower",
      "secrets",
      'secrets["A"]',
      'jobs["b"].status',
      "jobs",
    ].map((source) => command(source, "computed-context-key")),
    ...["secrets.vault.A", "secrets.other.TOKEN"].map((source) => command(source, "unknown-secret-store")),
    ...["secrets.A + 'b'", "size(secrets.A)", "secrets.A == 'b'", "[secrets.A]", "event.a ? secrets.A : 'b'"].map(
      (source) => command(source, "runner-context-not-bare"),
    ),
    command("jobs.b.status", "missing-job-needs-edge"),
    ...[
      "run.sha",
      "workflow.path",
      "trigger.branch",
      "job.id",
      "execution.number",
      "step.exit_code",
      "run.number + 1.5",
      "run.name * 2",
      "run.number + run.name",
      "-run.name",
      "run.number && true",
      "run.name.nope()",
      "size(run.number)",
    ].map((source) => command(source, "invalid-interpolation-expression")),
    ["a run name over itself", top("run_name: ‸a ${{ run.name }}"), "dynamic-name-self-reference run_name"],
    [
      "an execution name over itself",
      job("execution_name: ‸a ${{ execution.name }}"),
      "dynamic-name-self-reference jobs.a.execution_name",
    ],
    [
      "two faults in one text",
      steps("- run: ‸echo ${{ github.a }} ${{ vars.b }}").replace("‸", "‸‸"),
      `unknown-interpolation-context ${STEP}.run`,
      `computed-context-key ${STEP}.run`,
    ],
    [
      "the same fault twice, told once",
      steps("- run: ‸echo ${{ github.a }} ${{ github.a }}"),
      `unknown-interpolation-context ${STEP}.run`,
    ],
  ]);
  accepts(
    [
      "event.a.b[0]['c']",
      "event['a-b']",
      "has(event.a.b)",
      "event.l.all(i, i > 0)",
      "event.l.exists_one(i, i == 1)",
      "event.l.filter(i, i.x).map(i, i.y)",
      "event.m.map(k, k + '!')",
      "event.a in [1, 2]",
      "'a' in event.m",
      "event.a ? 'x' : 'y'",
      "!event.a",
      "-event.n",
      "event.a % 2 == 0",
      "[event.a] + [event.b]",
      "{'a': event.b}.a",
      "int(event.a) + 1",
      "double(event.a)",
      "string(run.number)",
      "bool('true')",
      "bytes('a')",
      "dyn(event.a)",
      "timestamp(event.t).getFullYear('Europe/Paris')",
      "duration('1h')",
      "event.s.split(',').join('-')",
      "event.s.substring(0, 7)",
      "event.s.indexOf('a')",
      "event.s.lowerAscii()",
      "event.s.trim()",
      "event.s.matches(r'^v\\d')",
      "range(1, 10, 2)",
      "toJson(event)",
      "fromJson(event.s).a",
      "cel.bind(x, event.a, x + x)",
      "0x1F",
      "1u",
      "1e3",
      "b'a'",
      "'''a'b'''",
      "null == event.a",
      "run.created_at < timestamp('2030-01-01T00:00:00Z')",
    ].map((source): [string, string] => [source, steps(`- run: ${JSON.stringify(`echo \${{ ${source} }}`)}`)]),
  );
});

describe("what the outputs of others are known to be", () => {
  const reading = (source: string) => pair(`steps: [{ run: ${JSON.stringify(`echo \${{ ${source} }}`)} }]`);
  const own = (source: string) =>
    steps(
      `- { key: s, run: x, outputs: { t: string, n: number, b: boolean, j: json, i: { type: json, schema: { type: integer } }, l: { type: json, schema: { type: array } } } }\n- run: ${JSON.stringify(`echo \${{ ${source} }}`)}`,
    );
  const marked = (yaml: string) => yaml.replace('"echo', '‸"echo');
  accepts([
    ...[
      "jobs.build.outputs.v",
      "jobs.build.outputs.n + 1.0",
      "jobs.build.status == 'succeeded'",
      "jobs.build.executions[0].outputs.v",
      "needs[0].outputs.v",
      "needs.all(n, n.status == 'succeeded')",
    ].map((source): [string, string] => [source, reading(source)]),
    ...[
      "steps.s.outputs.n > 1",
      "steps.s.outputs.i + 1",
      "steps.s.outputs.l[0].a",
      "steps.s.outputs.j.a.b",
      "steps.s.outputs.t + 'a'",
      "steps.s.outputs.b || false",
      'steps["s"].outputs.n',
      "steps.s.attempts.size()",
      "has(steps.s.outputs.n)",
    ].map((source): [string, string] => [source, own(source)]),
  ]);
  refuses([
    ...["jobs.build.outputs.w", "jobs.build.outputs.n + 1", "jobs.build.output.v", "jobs.build.outputs.v + 1"].map(
      (source): [string, string, string] => [
        source,
        marked(reading(source)),
        "invalid-interpolation-expression jobs.use.steps.0.run",
      ],
    ),
    ...[
      "steps.s.outputs.x",
      "steps.s.outputs.n + 1",
      "steps.s.outputs.t + 1",
      "steps.s.outputs.b + 1",
      "steps.t.status",
      "steps.s.output.n",
      "steps.s.outputs.l + 1",
      "nope(1)",
      "[1, 'x']",
      "event.a ? 1 : 'x'",
    ].map((source): [string, string, string] => [
      source,
      marked(own(source)),
      "invalid-interpolation-expression jobs.a.steps.1.run",
    ]),
  ]);
});

describe("a condition", () => {
  const jobIf = (text: string) => job(`if: ‸${text}`);
  const stepIf = (text: string) => steps(`- run: x\n  if: ‸${text}`);
  const gate = (text: string) => steps(`- run: x\n  gate:\n    success: ‸${text}`);
  const success = (text: string) => job(`success: ‸${text}`);
  refuses([
    ["of a job without braces", jobIf("event.a == 1"), "invalid-job-if jobs.a.if → ${{ event.a == 1 }}"],
    ["of a job with text around", jobIf("x ${{ true }}"), "invalid-job-if jobs.a.if"],
    ["of a job with two expressions", jobIf("${{ true }}${{ true }}"), "invalid-job-if jobs.a.if"],
    ["of a job that may be anything", jobIf("${{ event.flag }}"), "invalid-job-if jobs.a.if"],
    ["of a job that is text", jobIf("${{ 'true' }}"), "invalid-job-if jobs.a.if"],
    ["of a job over `needs` that it has not", jobIf("${{ needs.size() > 0 }}"), "invalid-job-if jobs.a.if"],
    ["of a job by a function of another system", jobIf("${{ success() }}"), "invalid-job-if jobs.a.if"],
    ["of a job over steps", jobIf("${{ steps.a.status == 'x' }}"), "context-unavailable-at-predicate-site jobs.a.if"],
    ["of a job over itself", jobIf("${{ job.key == 'a' }}"), "context-unavailable-at-predicate-site jobs.a.if"],
    ["of a job over a job without an edge", jobIf("${{ jobs.b.status == 'x' }}"), "missing-job-needs-edge jobs.a.if"],
    ["of a job over a secret", jobIf("${{ secrets.A == 'b' }}"), "runner-context-in-server-predicate jobs.a.if"],
    ["of a step without braces", stepIf("execution.failed"), `invalid-step-if ${STEP}.if → \${{ execution.failed }}`],
    ["of a step over the event", stepIf("${{ event.ref == 'x' }}"), `context-unavailable-at-predicate-site ${STEP}.if`],
    ["of a step over inputs", stepIf("${{ inputs.a == 'x' }}"), `context-unavailable-at-predicate-site ${STEP}.if`],
    ["of a step over the run", stepIf("${{ run.number == 1 }}"), `context-unavailable-at-predicate-site ${STEP}.if`],
    ["of a step that is a number", stepIf("${{ step.attempt }}"), `invalid-step-if ${STEP}.if`],
    ["of a step with `always`", stepIf("${{ always() }}"), `invalid-step-if ${STEP}.if`],
    ["of a gate in braces", gate("${{ step.exit_code == 0 }}"), `invalid-step-gate-success ${STEP}.gate.success`],
    ["of a gate that is a number", gate("step.exit_code"), `invalid-step-gate-success ${STEP}.gate.success`],
    ["of a gate of the older dialect", gate("exit_code == 0"), `unknown-interpolation-context ${STEP}.gate.success`],
    [
      "of a gate over other steps",
      gate("steps.k.exit_code == 0"),
      `context-unavailable-at-predicate-site ${STEP}.gate.success`,
    ],
    ["of a gate over the event", gate("event.a == 1"), `context-unavailable-at-predicate-site ${STEP}.gate.success`],
    [
      "of a gate over a field that is gone by then",
      gate("step.is_retry"),
      `invalid-step-gate-success ${STEP}.gate.success`,
    ],
    ["for a job's success in braces", success("${{ true }}"), "invalid-job-success jobs.a.success"],
    ["for a job's success that is a number", success("executions.size()"), "invalid-job-success jobs.a.success"],
    [
      "for a job's success over steps",
      success("steps.a.status == 'x'"),
      "context-unavailable-at-predicate-site jobs.a.success",
    ],
    [
      "for a job's success over the event",
      success("event.a == 1"),
      "context-unavailable-at-predicate-site jobs.a.success",
    ],
  ]);
  accepts([
    [
      "of a job in a block of text",
      job("if: >-\n  ${{ event.a == 1 &&\n  event.b == 2 }}"),
      { jobs: [{ if: "event.a == 1 && event.b == 2" }] },
    ],
    ["of a job with blanks around", job('if: "  ${{ true }}  "'), { jobs: [{ if: "true" }] }],
    [
      "of a step on failure",
      steps("- run: x\n  if: ${{ execution.failed }}"),
      { jobs: [{ steps: [{ if: "execution.failed" }] }] },
    ],
    ["of a step that always runs", steps("- run: x\n  if: ${{ execution.failed || !execution.failed }}")],
    [
      "of a step over an earlier one",
      steps("- { key: t, run: x }\n- run: y\n  if: ${{ has(steps.t.exit_code) && steps.t.exit_code != 0 }}"),
    ],
    [
      "of a gate over declared outputs",
      steps("- run: x\n  outputs: { n: number }\n  gate:\n    success: step.exit_code == 0 && step.outputs.n > 2"),
    ],
    [
      "for a job's success over its executions",
      job("success: executions.exists(e, e.status == 'succeeded')"),
      { jobs: [{ success: "executions.exists(e, e.status == 'succeeded')" }] },
    ],
  ]);
});

describe("the value of an expression", () => {
  const context = JSON.stringify({
    event: { n: 2, f: 1.5, s: "héllo", l: [1, 2, 3], m: { a: 1 }, t: true, z: null, big: 0 },
  }).replace('"big":0', '"big":9007199254740993');
  const textOf = (source: string) => evaluate({ context, expressions: [{ source, as: "text" }] })[0];
  it.each([
    ["event.n + 1", "3"],
    ["event.n / 2", "1"],
    ["7 / 2", "3"],
    ["-7 / 2", "-3"],
    ["7 % 3", "1"],
    ["event.f + 1.0", "2.5"],
    ["event.f * 2.0", "3"],
    ["event.n == 2", "true"],
    ["event.n > 1.5", "true"],
    ["event.n in [1, 2]", "true"],
    ["'a' in event.m", "true"],
    ["'b' in event.m", "false"],
    ["event.z", ""],
    ["event.z == null", "true"],
    ["event.t", "true"],
    ["event.l", "[1,2,3]"],
    ["event.m", '{"a":1}'],
    ["event.big", "9007199254740993"],
    ["has(event.a)", "false"],
    ["has(event.n)", "true"],
    ["event.l.map(i, i * 2)", "[2,4,6]"],
    ["event.l.filter(i, i > 1).size()", "2"],
    ["event.l.all(i, i > 0)", "true"],
    ["event.l.exists_one(i, i == 2)", "true"],
    ["event.m.map(k, k)", '["a"]'],
    ["event.l[2]", "3"],
    ["event.s.size()", "5"],
    ["'abc'.upperAscii()", "ABC"],
    ["event.s.startsWith('h')", "true"],
    ["'a,b'.split(',')", '["a","b"]'],
    ["['a', 'b'].join('-')", "a-b"],
    ["'abc'.substring(1)", "bc"],
    ["'abc'.indexOf('c')", "2"],
    ["' a '.trim()", "a"],
    ["'v12'.matches('^v[0-9]+$')", "true"],
    ["timestamp('2026-02-03T04:05:06Z')", "2026-02-03T04:05:06.000Z"],
    ["timestamp('2026-02-03T23:30:00Z').getDayOfMonth('Europe/Paris')", "3"],
    ["timestamp('2026-02-03T04:05:06Z') + duration('1h') > timestamp('2026-02-03T05:00:00Z')", "true"],
    ["int('42') + 1", "43"],
    ["int(3.9)", "3"],
    ["double('1.5')", "1.5"],
    ["string(1.5)", "1.5"],
    ["string(true)", "true"],
    ["bool('true')", "true"],
    ["range(1, 5, 2)", "[1,3,5]"],
    ["range(3, 1, 1)", "[]"],
    ["toJson(event.m)", '{"a":1}'],
    ["fromJson('{\"a\": 1.0}').a + 1", "2"],
    ["cel.bind(x, event.n, x * x)", "4"],
    ["true || event.none.x", "true"],
    ["event.none.x && false", "false"],
    ["'}}'", "}}"],
    ["event.n > 1 ? 'many' : 'few'", "many"],
  ])("%s is %s", (source, text) => {
    expect(textOf(source)).toEqual({ ok: true, value: text });
  });
  it.each([
    "event.none",
    "event.none.deeper",
    "event.l[3]",
    "1 / 0",
    "1 % 0",
    "event.s + 1",
    "event.n.size()",
    "int('x')",
    "double('x')",
    "timestamp('yesterday')",
    "duration('soon')",
    "9223372036854775807 + 1",
    "[1, 'x']",
    "true ? 1 : 'x'",
    "1 == 1.0",
    "nope(1)",
    "range(1, 5000, 1)",
    "range(1, 5, 0)",
    "fromJson('{')",
    "event.s.matches('(')",
  ])("%s has none", (source) => {
    expect(textOf(source)).toMatchObject({ ok: false });
  });
});
