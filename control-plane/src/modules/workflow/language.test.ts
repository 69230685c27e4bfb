import { describe, expect, it } from "vitest";
import { job, listening, pair, run, steps, top, trigger } from "./cases/cases.fixture.ts";
import { parseWorkflow } from "./public.ts";

function verdict(yaml: string): string[] {
  const result = parseWorkflow(yaml);
  if (result.ok) return result.warnings.map(({ code, path }) => `warning ${code} ${path}`);
  return result.diagnostics.map(({ code, path }) => `${code} ${path}`);
}

const STEP = "jobs.a.steps.0";

describe("accepted without a warning", () => {
  it.each<[string, string]>([
    ["a run name with an expression", top('run_name: "Deploy ${{ inputs.target }} #${{ run.number }}"')],
    ["a runner label with an expression", job('runner: [linux, "${{ vars.SIZE }}"]')],
    ["an escaped opener in the name of a job", job("name: $${{ a")],
    ["a job that depends on a condition", job("if: ${{ event.flag == true }}")],
    ["a job condition that is always true", job("if: ${{ true }}")],
    ["a job condition in a block", job("if: >\n  ${{ event.ref == 'x' }}")],
    ["a job condition over variables", job("if: ${{ vars.DEPLOY == 'yes' }}")],
    ["a success condition", job("success: executions.all(e, e.status != 'failed')")],
    ["a success condition over the number of executions", job("success: executions.size() > 0")],
    ["an execution name", job("execution_name: build ${{ execution.index }}")],
    ["a job output of text", job('outputs: { v: "1" }')],
    ["a job without checkout", job("checkout: false")],
    [
      "a job with checkout permissions",
      job("checkout: { permissions: { contents: write }, persist-credentials: false }"),
    ],
    ["an execution timeout of a day", job("execution_timeout: 1d")],
    ["labels that differ in case", job("runner: [Linux, linux, X64]")],
    [
      "a listening job that ends by an event",
      listening("{ on: [{ source: gh, event: push }], until: [{ source: gh, event: closed }] }"),
    ],
    ["a listening job that ends by time", listening("{ on: [{ source: gh, event: push }], timeout: 30d }")],
    [
      "a listening job that ends by count",
      listening("{ on: [{ source: gh, event: push }], max_executions: 3, on_resolve: cancel }"),
    ],
    [
      "a listening job that batches",
      listening(
        "{ on: [{ source: gh, event: push }], timeout: 1h, batch: { debounce: 10s, max_size: 5, max_wait: 1h } }",
      ),
    ],
    [
      "a listening job on a manual trigger, which never arrives",
      listening("{ on: [{ source: manual, event: fire }], timeout: 1h }"),
    ],
    [
      "a listening filter",
      listening("{ on: [{ source: gh, event: push, filter: event.number == inputs.number }], timeout: 1h }"),
    ],
    ["a manual trigger with any event", trigger("{ source: manual, event: go }")],
    [
      "a trigger from a connection",
      trigger("{ source: github_acme, event: push, filter: event.ref == 'refs/heads/main' }"),
    ],
    ["a filter over the source", trigger("{ source: gh, event: push, filter: trigger.event == 'push' && event.a.b }")],
    [
      "a filter that looks into a list",
      trigger("{ source: gh, event: push, filter: 'event.commits.exists(c, c.message.contains(\"x\"))' }"),
    ],
    ["a filter with has()", trigger("{ source: gh, event: push, filter: has(event.pull_request) }")],
    ["a trigger by a workflow", trigger("{ source: workflow, event: failed, config: { workflow: Build } }")],
    ["a cron trigger", trigger('{ source: cron, event: tick, config: { schedule: "*/15 9-17 * JAN-MAR MON-FRI" } }')],
    ["the last day of a month", trigger('{ source: cron, event: tick, config: { schedule: "0 0 L * *" } }')],
    ["the second Monday", trigger('{ source: cron, event: tick, config: { schedule: "0 0 * * 1#2" } }')],
    ["the last Friday", trigger('{ source: cron, event: tick, config: { schedule: "0 0 * * 5L" } }')],
    ["a minute that the server chooses", trigger('{ source: cron, event: tick, config: { schedule: "H * * * *" } }')],
    ["a question mark", trigger('{ source: cron, event: tick, config: { schedule: "0 0 * * ?" } }')],
    ["29 February", trigger('{ source: cron, event: tick, config: { schedule: "0 0 29 2 *" } }')],
    [
      "Sunday as 7, and a time zone",
      trigger('{ source: cron, event: tick, config: { schedule: "0 0 * * 7", timezone: America/New_York } }'),
    ],
    [
      "declared inputs of all types",
      trigger(
        "{ source: manual, event: fire, inputs: { a: { type: string, default: x }, b: { type: number, required: true }, c: { type: boolean, default: false, description: d }, d: { type: choice, options: [e, f], default: f } } }",
      ),
    ],
    ["any JSON as inputs", trigger("{ source: gh, event: e, with: { a: [1, null, { b: '${{ kept }}' }] } }")],
    ["a step condition on failure", steps("- run: x\n- { if: '${{ execution.failed }}', run: y }")],
    [
      "a step condition over an earlier step",
      steps("- { key: t, run: x }\n- { if: '${{ steps.t.exit_code == 0 }}', run: y }"),
    ],
    ["a retry in a prompt", steps("- prompt: '${{ step.is_retry ? step.restart.feedback : \"\" }}'")],
    ["a gate with a success condition only", steps("- { run: x, gate: { success: 'step.exit_code in [0, 3]' } }")],
    [
      "a gate over outputs",
      steps("- { run: x, outputs: { n: number }, gate: { success: step.exit_code == 0 && step.outputs.n > 2 } }"),
    ],
    ["a gate over a variable", steps("- { run: x, gate: { success: vars.STRICT == 'no' || step.exit_code == 0 } }")],
    [
      "outputs of all types",
      steps(
        "- { run: x, outputs: { a: string, b: number, c: boolean, d: json, e: { type: json, schema: { type: object, properties: { f: { type: string } } } }, g: { type: json, schema: true } } }",
      ),
    ],
    ["a checkout step of the project", steps("- checkout: {}")],
    [
      "a checkout step of another repository",
      steps("- checkout: { repository: o/r, ref: '${{ inputs.ref }}', path: lib, fetch-depth: 0, force: true }"),
    ],
    ["an agent with the thinking level max and no harness", steps("- { prompt: p, thinking: max }")],
    [
      "an agent with a thinking level known later",
      steps("- { prompt: p, harness: claude, thinking: '${{ inputs.effort }}' }"),
    ],
    ["a provider of the workspace's own", steps("- { prompt: p, provider: my-gateway, model: foo }")],
    ["the same with the harness pi", steps("- { prompt: p, harness: pi, provider: my-gateway, model: foo }")],
    [
      "a model that the provider has",
      steps("- { prompt: p, harness: pi, provider: anthropic, model: claude-sonnet-5 }"),
    ],
    [
      "integrations",
      steps(
        "- { prompt: p, integrations: [{ include: [issue_read.get, pull_request_read.*], exclude: [list_issues], allow_write: true, connection: gh }] }",
      ),
    ],
    ["several expressions in one command", run("a ${{ inputs.a }} ${{ event.b }}")],
    ["a text with the end of an expression inside", run("echo ${{ event.a == '}}' }}")],
    ["a map in an expression", run("echo ${{ {'a': {'b': event.x}} }}")],
    ["a comment in an expression", run("echo ${{ event.a // the }} end\n }}")],
    ["a raw text in an expression", run("echo ${{ event.a.matches(r'\\d+') }}")],
    ["a long text in an expression", run('echo ${{ """a " }} b""" + event.a }}')],
    ["a loose sum without typed names", run('echo ${{ "a" + 1 }}')],
    ["an unknown function without typed names", run("echo ${{ nope(1) }}")],
    ["a mixed list without typed names", run('echo ${{ [1, "x"] }}')],
    ["a mixed choice without typed names", run('echo ${{ true ? 1 : "x" }}')],
    ["arithmetic with the number of the run", run("echo ${{ run.number + 1 }}")],
    [
      "a list of the language's own functions",
      run("echo ${{ range(1, 3, 1) }} ${{ toJson(event) }} ${{ fromJson(event.text).a }}"),
    ],
    ["a bound name", run("echo ${{ cel.bind(n, event.n, n + n) }}")],
    ["a name bound by a macro", run("echo ${{ event.list.map(item, item.name).join(',') }}")],
    ["a nullable field compared with null", run("echo ${{ trigger.ref == null }}")],
    ["a time of the run", run("echo ${{ run.created_at.getFullYear() }}")],
    ["secrets with text around", steps('- { run: x, env: { A: "Bearer ${{ secrets.A }}!" } }')],
    ["a secret of the local store", run("echo ${{ secrets.local.A }}")],
    ["a variable in a name", steps('- { name: "to ${{ vars.REGION }}", run: x }')],
    ["an expression in a folder", steps("- { run: x, working_directory: 'a/${{ vars.DIR }}' }")],
    ["outputs of a need", pair("steps: [{ run: 'echo ${{ jobs.build.outputs.v }}' }]")],
    ["a typed output of a need", pair("steps: [{ run: 'echo ${{ jobs.build.outputs.n + 1.0 }}' }]")],
    ["needs as a list", pair("if: ${{ needs.all(n, n.status == 'succeeded') }}\nsteps: [{ run: x }]")],
    ["the status of a need", pair("if: ${{ jobs.build.status == 'failed' }}\nsteps: [{ run: x }]")],
    ["a typed sum", steps("- { key: s, run: x, outputs: { n: number } }\n- run: echo ${{ steps.s.outputs.n + 1.0 }}")],
    [
      "an integer by its schema",
      steps(
        "- { key: s, run: x, outputs: { n: { type: json, schema: { type: integer } } } }\n- run: echo ${{ steps.s.outputs.n + 1 }}",
      ),
    ],
    [
      "a step without outputs beside one with",
      steps(
        "- { key: s, run: x, outputs: { n: number } }\n- { key: t, run: y }\n- run: echo ${{ steps.t.outputs.anything }} ${{ steps.t.attempts.size() }}",
      ),
    ],
    [
      "a dependency on a job whose key is no identifier",
      "name: a\nrunner: x\njobs: { build-it: { steps: [{ run: x }] }, b: { needs: build-it, steps: [{ run: x }] } }",
    ],
  ])("%s", (_, yaml) => {
    expect(verdict(yaml)).toEqual([]);
  });
});

describe("refused", () => {
  it.each<[string, string, string | string[]]>([
    // Keys and types
    ["an unknown top-level key", top("version: 1"), "unknown-key (root)"],
    ["no inputs at the top", top("inputs: {}"), "invalid-value inputs"],
    [
      "an expression in the name",
      "name: a ${{ b }}\nrunner: x\njobs: { a: { steps: [{ run: x }] } }",
      "invalid-value name",
    ],
    ["an empty list of steps", job("steps: []"), "invalid-value jobs.a.steps"],
    ["an empty command", run(""), `invalid-value ${STEP}.run`],
    ["an empty list of needs", job("needs: []"), "invalid-value jobs.a.needs"],
    ["a step with a key only", steps("- key: k"), `missing-key ${STEP}`],
    ["a step with environment only", steps("- env: { A: b }"), `missing-key ${STEP}`],
    ["a misspelt kind of step", steps("- rum: x"), `unknown-key ${STEP}`],
    ["two kinds in one step", steps("- { run: x, checkout: {} }"), `unsupported-key ${STEP}.checkout`],
    ["environment of an agent", steps("- { prompt: p, env: { A: b } }"), `unsupported-key ${STEP}.env`],
    ["an agent without a prompt", steps("- { model: m }"), `missing-key ${STEP}.prompt`],
    ["a reserved word", steps("- { agent: a, run: x }"), `unsupported-key ${STEP}.agent`],
    ["no retry at all", job("retry: 0"), "invalid-value jobs.a.retry"],
    ["too many retries", job("retry: { max: 11 }"), "invalid-value jobs.a.retry.max"],
    ["a retry without a number", job("retry: { on: failure }"), "missing-key jobs.a.retry.max"],
    ["a retry after a cause that there is not", job("retry: { max: 1, on: cancel }"), "invalid-value jobs.a.retry.on"],
    [
      "a backoff that is no duration",
      job("retry: { max: 1, backoff: { delay: soon } }"),
      "invalid-duration jobs.a.retry.backoff.delay",
    ],
    [
      "a backoff over a day",
      job("retry: { max: 1, backoff: { delay: 25h } }"),
      "invalid-duration jobs.a.retry.backoff.delay",
    ],
    ["a priority that is a word", job("priority: high"), "invalid-type jobs.a.priority"],
    ["a priority out of bounds", job("priority: 101"), "invalid-value jobs.a.priority"],
    ["an empty matrix", job("matrix: {}"), "invalid-value jobs.a.matrix"],
    ["a strategy", job("strategy: {}"), "unknown-key jobs.a"],
    ["continue-on-error", steps("- { run: x, continue-on-error: true }"), `unknown-key ${STEP}`],
    ["a checkout that is true", job("checkout: true"), "invalid-value jobs.a.checkout"],
    ["the target of a job's checkout", job("checkout: { ref: x }"), "unsupported-key jobs.a.checkout.ref"],
    ["an environment name", job("env: { 1BAD: x }"), "invalid-value jobs.a.env.1BAD"],
    ["an environment value that is nothing", job("env: { A: }"), "invalid-type jobs.a.env.A"],
    ["an environment value that is a list", job("env: { A: [b] }"), "invalid-type jobs.a.env.A"],
    ["a condition that is no text", job("if: true"), "invalid-type jobs.a.if"],
    ["outputs without any", job("outputs: {}"), "invalid-value jobs.a.outputs"],
    ["an output key with a dash", job('outputs: { a-b: "1" }'), "invalid-value jobs.a.outputs.a-b"],
    ["an unknown output type", steps("- { run: x, outputs: { n: integer } }"), `invalid-value ${STEP}.outputs.n`],
    [
      "a schema of a text",
      steps("- { run: x, outputs: { n: { type: string, schema: {} } } }"),
      `invalid-value ${STEP}.outputs.n.schema`,
    ],
    [
      "a schema that is a list",
      steps("- { run: x, outputs: { n: { type: json, schema: [] } } }"),
      `invalid-type ${STEP}.outputs.n.schema`,
    ],
    [
      "a schema with an unknown type",
      steps("- { run: x, outputs: { n: { type: json, schema: { type: strng } } } }"),
      `invalid-output-schema ${STEP}.outputs.n.schema`,
    ],
    [
      "a schema with a broken pattern",
      steps('- { run: x, outputs: { n: { type: json, schema: { pattern: "(" } } } }'),
      `invalid-output-schema ${STEP}.outputs.n.schema`,
    ],
    [
      "a schema with a broken property",
      steps("- { run: x, outputs: { n: { type: json, schema: { properties: { a: 1 } } } } }"),
      `invalid-output-schema ${STEP}.outputs.n.schema`,
    ],
    [
      "a thinking level that does not exist",
      steps("- { prompt: p, thinking: huge }"),
      `invalid-value ${STEP}.thinking`,
    ],
    ["an expression as a harness", steps("- { prompt: p, harness: '${{ vars.H }}' }"), `invalid-value ${STEP}.harness`],
    [
      "an integration without tools",
      steps("- { prompt: p, integrations: [{ include: [] }] }"),
      `invalid-value ${STEP}.integrations.0.include`,
    ],
    [
      "all tools of an integration",
      steps("- { prompt: p, integrations: [{ include: ['*'] }] }"),
      `invalid-value ${STEP}.integrations.0.include.0`,
    ],
    [
      "a batch without a rule",
      listening("{ on: [{ source: gh, event: e }], timeout: 1h, batch: {} }"),
      "invalid-value jobs.a.listening.batch",
    ],
    [
      "an unknown way to end",
      listening("{ on: [{ source: gh, event: e }], timeout: 1h, on_resolve: stop }"),
      "invalid-value jobs.a.listening.on_resolve",
    ],
    [
      "no executions at all",
      listening("{ on: [{ source: gh, event: e }], max_executions: 0 }"),
      "invalid-value jobs.a.listening.max_executions",
    ],
    [
      "settings of a listening trigger",
      listening("{ on: [{ source: cron, event: tick, config: {} }], timeout: 1h }"),
      "unsupported-key jobs.a.listening.on.0.config",
    ],
    [
      "an end of a run that there is not",
      trigger("{ source: workflow, event: success, config: { workflow: b } }"),
      "invalid-workflow-trigger triggers.t.event",
    ],
    [
      "a listening job on the end of a run",
      listening("{ on: [{ source: workflow, event: failed }], timeout: 1h }"),
      "invalid-workflow-trigger jobs.a.listening.on.0.source",
    ],
    [
      "settings of a connection's trigger",
      trigger("{ source: gh, event: push, config: {} }"),
      "unsupported-key triggers.t.config",
    ],
    [
      "declared inputs of another trigger",
      trigger("{ source: gh, event: push, inputs: {} }"),
      "unsupported-key triggers.t.inputs",
    ],
    [
      "an unknown setting of cron",
      trigger('{ source: cron, event: tick, config: { schedule: "0 0 * * *", zone: UTC } }'),
      "unknown-key triggers.t.config",
    ],
    [
      "an input of an unknown type",
      trigger("{ source: manual, event: fire, inputs: { a: { type: int } } }"),
      "invalid-value triggers.t.inputs.a.type",
    ],
    [
      "a choice without options",
      trigger("{ source: manual, event: fire, inputs: { a: { type: choice } } }"),
      "missing-key triggers.t.inputs.a.options",
    ],
    [
      "options of a text",
      trigger("{ source: manual, event: fire, inputs: { a: { type: string, options: [b] } } }"),
      "invalid-value triggers.t.inputs.a.options",
    ],
    [
      "an option twice",
      trigger("{ source: manual, event: fire, inputs: { a: { type: choice, options: [b, b] } } }"),
      "invalid-value triggers.t.inputs.a.options.1",
    ],
    [
      "a default that is no option",
      trigger("{ source: manual, event: fire, inputs: { a: { type: choice, options: [b], default: c } } }"),
      "invalid-value triggers.t.inputs.a.default",
    ],
    [
      "a default of another type",
      trigger("{ source: manual, event: fire, inputs: { a: { type: number, default: '1' } } }"),
      "invalid-type triggers.t.inputs.a.default",
    ],
    [
      "an input key with a dash",
      trigger("{ source: manual, event: fire, inputs: { a-b: { type: string } } }"),
      "invalid-value triggers.t.inputs.a-b",
    ],
    ["a trigger without an event", trigger("{ source: manual }"), "missing-key triggers.t.event"],
    ["no triggers", top("triggers: {}"), "invalid-value triggers"],
    // The older dialect
    [
      "`success_if` of a gate",
      steps("- { run: x, gate: { success_if: exit_code == 0 } }"),
      `renamed-key ${STEP}.gate.success_if`,
    ],
    [
      "`output` of a gate",
      steps("- { key: k, run: x }\n- { run: y, gate: { on_failure: { restart_from: k, output: again } } }"),
      "renamed-key jobs.a.steps.1.gate.on_failure.output",
    ],
    [
      "a schedule beside the source",
      trigger('{ source: cron, event: tick, schedule: "0 0 * * *" }'),
      "renamed-key triggers.t.schedule",
    ],
    // Names and dependencies
    [
      "jobs with one id",
      "name: a\nrunner: x\njobs: { My Job: { steps: [{ run: x }] }, my-job: { steps: [{ run: x }] } }",
      "duplicate-job-id jobs.my-job",
    ],
    [
      "steps with one id",
      steps("- { key: Unit Tests, run: x }\n- { key: unit-tests, run: x }"),
      "duplicate-step-id jobs.a.steps.1",
    ],
    [
      "triggers with one id",
      top("triggers: { A b: { source: gh, event: e }, a-b: { source: gh, event: f } }"),
      "duplicate-trigger-id triggers.a-b",
    ],
    ["a job that needs itself", job("needs: a"), "self-job-dependency jobs.a.needs"],
    ["no label anywhere", "name: a\njobs: { a: { steps: [{ run: x }] } }", "missing-runner-label jobs.a.runner"],
    [
      "21 labels",
      job(`runner: [${Array.from({ length: 21 }, (_, n) => `l${n}`).join(", ")}]`),
      "too-many-runner-labels jobs.a.runner",
    ],
    [
      "two manual triggers",
      top("triggers: { a: { source: manual, event: e }, b: { source: manual, event: e } }"),
      "multiple-manual-triggers triggers",
    ],
    // Cron
    [
      "six fields",
      trigger('{ source: cron, event: tick, config: { schedule: "0 * * * * *" } }'),
      "invalid-cron-schedule triggers.t.config.schedule",
    ],
    [
      "a nickname",
      trigger('{ source: cron, event: tick, config: { schedule: "@daily" } }'),
      "invalid-cron-schedule triggers.t.config.schedule",
    ],
    [
      "minute 60",
      trigger('{ source: cron, event: tick, config: { schedule: "60 * * * *" } }'),
      "invalid-cron-schedule triggers.t.config.schedule",
    ],
    [
      "31 February",
      trigger('{ source: cron, event: tick, config: { schedule: "0 0 31 2 *" } }'),
      "invalid-cron-schedule triggers.t.config.schedule",
    ],
    [
      "words",
      trigger("{ source: cron, event: tick, config: { schedule: every day at noon please } }"),
      "invalid-cron-schedule triggers.t.config.schedule",
    ],
    ["no schedule", trigger("{ source: cron, event: tick }"), "missing-cron-schedule triggers.t.config.schedule"],
    [
      "another event",
      trigger('{ source: cron, event: daily, config: { schedule: "0 0 * * *" } }'),
      "invalid-cron-event triggers.t.event",
    ],
    [
      "a time zone that does not exist",
      trigger('{ source: cron, event: tick, config: { schedule: "0 0 * * *", timezone: Mars/Base } }'),
      "invalid-cron-timezone triggers.t.config.timezone",
    ],
    [
      "a filter on cron",
      trigger('{ source: cron, event: tick, filter: "true", config: { schedule: "0 0 * * *" } }'),
      "invalid-trigger-filter triggers.t.filter",
    ],
    [
      "a filter on a manual trigger",
      trigger('{ source: manual, event: e, filter: "true" }'),
      "invalid-trigger-filter triggers.t.filter",
    ],
    // Predicates
    [
      "a filter that is no predicate",
      trigger("{ source: gh, event: push, filter: event.ref }"),
      "invalid-trigger-filter triggers.t.filter",
    ],
    [
      "a filter in braces",
      trigger("{ source: gh, event: push, filter: '${{ event.a == 1 }}' }"),
      "invalid-trigger-filter triggers.t.filter",
    ],
    [
      "a filter that cannot be read",
      trigger("{ source: gh, event: push, filter: 'event.a == ' }"),
      "invalid-trigger-filter triggers.t.filter",
    ],
    [
      "a filter over variables",
      trigger("{ source: gh, event: push, filter: vars.A == 'b' }"),
      "context-unavailable-at-predicate-site triggers.t.filter",
    ],
    [
      "a filter over inputs",
      trigger("{ source: gh, event: push, filter: inputs.a == 'b' }"),
      "context-unavailable-at-predicate-site triggers.t.filter",
    ],
    [
      "a filter over a field that a trigger does not have",
      trigger("{ source: gh, event: push, filter: trigger.branch == 'b' }"),
      "invalid-trigger-filter triggers.t.filter",
    ],
    [
      "a filter over a secret",
      trigger("{ source: gh, event: push, filter: secrets.A == 'b' }"),
      "runner-context-in-server-predicate triggers.t.filter",
    ],
    [
      "a filter over another system's names",
      trigger("{ source: gh, event: push, filter: github.ref == 'b' }"),
      "unknown-interpolation-context triggers.t.filter",
    ],
    [
      "a listening filter that is no predicate",
      listening("{ on: [{ source: gh, event: e, filter: event.n }], timeout: 1h }"),
      "invalid-listener-filter jobs.a.listening.on.0.filter",
    ],
    [
      "a listening filter over steps",
      listening("{ on: [{ source: gh, event: e, filter: steps.a.status == 'x' }], timeout: 1h }"),
      "context-unavailable-at-predicate-site jobs.a.listening.on.0.filter",
    ],
    [
      "a listening filter on a manual trigger",
      listening("{ on: [{ source: gh, event: e }], until: [{ source: manual, event: e, filter: 'true' }] }"),
      "invalid-listener-filter jobs.a.listening.until.0.filter",
    ],
    ["a bare job condition", job("if: event.a == 1"), "invalid-job-if jobs.a.if"],
    ["a job condition with text", job("if: x ${{ true }}"), "invalid-job-if jobs.a.if"],
    ["a job condition of two expressions", job("if: ${{ true }}${{ true }}"), "invalid-job-if jobs.a.if"],
    ["a job condition that may be anything", job("if: ${{ event.flag }}"), "invalid-job-if jobs.a.if"],
    [
      "a job condition over needs that it has not",
      job("if: ${{ needs.all(n, n.status == 'succeeded') }}"),
      "invalid-job-if jobs.a.if",
    ],
    [
      "a job condition over a job it does not need",
      job("if: ${{ jobs.b.status == 'failed' }}"),
      "missing-job-needs-edge jobs.a.if",
    ],
    [
      "a job condition over steps",
      job("if: ${{ steps.a.exit_code == 0 }}"),
      "context-unavailable-at-predicate-site jobs.a.if",
    ],
    [
      "a job condition over a secret",
      job("if: ${{ secrets.A == 'b' }}"),
      "runner-context-in-server-predicate jobs.a.if",
    ],
    ["a job condition with a status function", job("if: ${{ always() }}"), "invalid-job-if jobs.a.if"],
    [
      "a step condition over the event",
      steps("- { run: x, if: '${{ event.ref == \"x\" }}' }"),
      `context-unavailable-at-predicate-site ${STEP}.if`,
    ],
    [
      "a step condition over inputs",
      steps("- { run: x, if: '${{ inputs.a == 1 }}' }"),
      `context-unavailable-at-predicate-site ${STEP}.if`,
    ],
    [
      "a step condition that is a number",
      steps("- { run: x, if: '${{ step.attempt }}' }"),
      `invalid-step-if ${STEP}.if`,
    ],
    [
      "a step condition of other types",
      steps("- { run: x, if: '${{ step.attempt == \"1\" }}' }"),
      `invalid-step-if ${STEP}.if`,
    ],
    ["an empty step condition", steps("- { run: x, if: '${{ }}' }"), `invalid-step-if ${STEP}.if`],
    ["a success condition that is a number", job("success: executions.size()"), "invalid-job-success jobs.a.success"],
    ["a success condition in braces", job("success: ${{ true }}"), "invalid-job-success jobs.a.success"],
    [
      "a success condition over an unknown field",
      job("success: executions.all(e, e.state == 'x')"),
      "invalid-job-success jobs.a.success",
    ],
    [
      "a success condition over the event",
      job("success: event.a == 1"),
      "context-unavailable-at-predicate-site jobs.a.success",
    ],
    [
      "a gate over another step",
      steps("- { key: k, run: x, gate: { success: steps.k.exit_code == 0 } }"),
      `context-unavailable-at-predicate-site ${STEP}.gate.success`,
    ],
    [
      "a gate with the older name",
      steps("- { run: x, gate: { success: exit_code == 0 } }"),
      `unknown-interpolation-context ${STEP}.gate.success`,
    ],
    [
      "a gate that is a number",
      steps("- { run: x, gate: { success: step.exit_code } }"),
      `invalid-step-gate-success ${STEP}.gate.success`,
    ],
    [
      "a gate over the attempt",
      steps("- { run: x, gate: { success: step.attempt == 1 } }"),
      `invalid-step-gate-success ${STEP}.gate.success`,
    ],
    [
      "a gate that restarts from itself",
      steps("- { key: k, run: x, gate: { on_failure: { restart_from: k } } }"),
      `invalid-step-gate-restart-from ${STEP}.gate.on_failure.restart_from`,
    ],
    [
      "a gate that restarts from a later step",
      steps("- { run: x, gate: { on_failure: { restart_from: k } } }\n- { key: k, run: y }"),
      `invalid-step-gate-restart-from ${STEP}.gate.on_failure.restart_from`,
    ],
    [
      "a gate that restarts from nowhere",
      steps("- { run: x, gate: { on_failure: { restart_from: k } } }"),
      `invalid-step-gate-restart-from ${STEP}.gate.on_failure.restart_from`,
    ],
    [
      "feedback over the event",
      steps(
        "- { key: k, run: x }\n- { run: y, gate: { on_failure: { restart_from: k, feedback: '${{ event.a }}' } } }",
      ),
      "context-unavailable-at-fill-site jobs.a.steps.1.gate.on_failure.feedback",
    ],
    // Templates
    ["an expression without end", run("echo ${{ event.x "), `invalid-interpolation-template ${STEP}.run`],
    ["an empty expression", run("echo ${{ }}"), `invalid-interpolation-template ${STEP}.run`],
    ["optional syntax", run("echo ${{ event.?b }}"), `invalid-interpolation-template ${STEP}.run`],
    ["a text without end", run("echo ${{ 'a }}"), `invalid-interpolation-template ${STEP}.run`],
    ["two operators", run("echo ${{ event.a + + event.b }}"), `invalid-interpolation-template ${STEP}.run`],
    ["a field that a run does not have", run("echo ${{ run.sha }}"), `invalid-interpolation-expression ${STEP}.run`],
    ["an integer and a fraction", run("echo ${{ run.number + 1.5 }}"), `invalid-interpolation-expression ${STEP}.run`],
    ["a text times a number", run("echo ${{ run.name * 2 }}"), `invalid-interpolation-expression ${STEP}.run`],
    ["another system's names", run("echo ${{ github.sha }}"), `unknown-interpolation-context ${STEP}.run`],
    ["the matrix of a job without one", run("echo ${{ matrix.x }}"), `context-unavailable-at-fill-site ${STEP}.run`],
    ["the runner", run("echo ${{ runner.os }}"), `unknown-interpolation-context ${STEP}.run`],
    ["the environment", run("echo ${{ env.HOME }}"), `unknown-interpolation-context ${STEP}.run`],
    ["a type as a name", run("echo ${{ type(event.a) == string }}"), `unknown-interpolation-context ${STEP}.run`],
    ["a misspelt name", run("echo ${{ evnt.ref }}"), `unknown-interpolation-context ${STEP}.run`],
    [
      "a name that a macro bound elsewhere",
      run("echo ${{ event.a.exists(i, i == 1) && i }}"),
      `unknown-interpolation-context ${STEP}.run`,
    ],
    ["a variable in brackets", run('echo ${{ vars["A"] }}'), `computed-context-key ${STEP}.run`],
    ["a variable in small letters", run("echo ${{ vars.lower }}"), `computed-context-key ${STEP}.run`],
    ["all variables", run("echo ${{ vars.size() }}"), `computed-context-key ${STEP}.run`],
    ["a job in brackets", run('echo ${{ jobs["a"].status }}'), `computed-context-key ${STEP}.run`],
    ["all jobs", run("echo ${{ jobs }}"), `computed-context-key ${STEP}.run`],
    ["a job that is not needed", run("echo ${{ jobs.b.status }}"), `missing-job-needs-edge ${STEP}.run`],
    [
      "a job key that is no identifier",
      "name: a\nrunner: x\njobs: { build-it: { steps: [{ run: x }] }, b: { needs: build-it, steps: [{ run: 'echo ${{ jobs.build-it.outputs.v }}' }] } }",
      ["missing-job-needs-edge jobs.b.steps.0.run", "unknown-interpolation-context jobs.b.steps.0.run"],
    ],
    ["a store that does not exist", run("echo ${{ secrets.vault.X }}"), `unknown-secret-store ${STEP}.run`],
    ["a secret in small letters", run("echo ${{ secrets.token }}"), `computed-context-key ${STEP}.run`],
    ["a secret with something behind it", run("echo ${{ secrets.local.A.B }}"), `computed-context-key ${STEP}.run`],
    ["a secret in a sum", run("echo ${{ 'a' + secrets.A }}"), `runner-context-not-bare ${STEP}.run`],
    ["a secret in a function", run("echo ${{ size(secrets.A) }}"), `runner-context-not-bare ${STEP}.run`],
    ["a secret in a prompt", steps("- prompt: use ${{ secrets.A }}"), `runner-context-in-field ${STEP}.prompt`],
    ["a secret in a name", steps("- { run: x, name: '${{ secrets.A }}' }"), `runner-context-in-field ${STEP}.name`],
    [
      "a secret in a folder",
      steps("- { run: x, working_directory: '${{ secrets.A }}' }"),
      `runner-context-in-field ${STEP}.working_directory`,
    ],
    [
      "a secret in a checkout",
      steps("- checkout: { ref: '${{ secrets.A }}' }"),
      `runner-context-in-field ${STEP}.checkout.ref`,
    ],
    ["a secret in a job output", job("outputs: { v: '${{ secrets.A }}' }"), "runner-context-in-field jobs.a.outputs.v"],
    ["a secret in a label", job("runner: ${{ secrets.A }}"), "runner-context-in-field jobs.a.runner.0"],
    ["a secret in a run name", top("run_name: ${{ secrets.A }}"), "runner-context-in-field run_name"],
    ["a run name over itself", top("run_name: x ${{ run.name }}"), "dynamic-name-self-reference run_name"],
    ["a run name over steps", top("run_name: x ${{ steps.a.outputs.b }}"), "context-unavailable-at-fill-site run_name"],
    [
      "an execution name over itself",
      job("execution_name: x ${{ execution.name }}"),
      "dynamic-name-self-reference jobs.a.execution_name",
    ],
    [
      "an execution name over steps",
      job("execution_name: ${{ steps.a.status }}"),
      "context-unavailable-at-fill-site jobs.a.execution_name",
    ],
    ["a label over steps", job("runner: ${{ steps.x.outputs.y }}"), "context-unavailable-at-fill-site jobs.a.runner.0"],
    [
      "a job output over a step's own name",
      job("outputs: { v: '${{ step.attempt }}' }"),
      "context-unavailable-at-fill-site jobs.a.outputs.v",
    ],
    ["an expression in an image", job("image: ${{ vars.IMAGE }}"), "unsupported-expression jobs.a.image"],
    // Types, once somebody declares outputs
    [
      "a number and an integer",
      steps("- { key: s, run: x, outputs: { n: number } }\n- run: echo ${{ steps.s.outputs.n + 1 }}"),
      "invalid-interpolation-expression jobs.a.steps.1.run",
    ],
    [
      "an output that is not declared",
      steps("- { key: s, run: x, outputs: { n: number } }\n- run: echo ${{ steps.s.outputs.m }}"),
      "invalid-interpolation-expression jobs.a.steps.1.run",
    ],
    [
      "a step that does not exist",
      steps("- { key: s, run: x, outputs: { n: number } }\n- run: echo ${{ steps.t.status }}"),
      "invalid-interpolation-expression jobs.a.steps.1.run",
    ],
    [
      "an unknown function beside outputs",
      steps("- { key: s, run: x, outputs: { n: number } }\n- run: echo ${{ nope(1) }}"),
      "invalid-interpolation-expression jobs.a.steps.1.run",
    ],
    [
      "a mixed list beside outputs",
      steps('- { key: s, run: x, outputs: { n: number } }\n- run: echo ${{ [1, "x"] }}'),
      "invalid-interpolation-expression jobs.a.steps.1.run",
    ],
    [
      "a truth value as a number",
      steps("- { key: s, run: x, outputs: { b: boolean } }\n- { run: x, if: '${{ steps.s.outputs.b > 1 }}' }"),
      "invalid-step-if jobs.a.steps.1.if",
    ],
    [
      "an output that a need does not have",
      pair("steps: [{ run: 'echo ${{ jobs.build.outputs.w }}' }]"),
      "invalid-interpolation-expression jobs.use.steps.0.run",
    ],
    [
      "a text output of a need as a number",
      pair("if: ${{ jobs.build.outputs.v > 1 }}\nsteps: [{ run: x }]"),
      "invalid-job-if jobs.use.if",
    ],
    [
      "a number output of a need and an integer",
      pair("env: { N: '${{ jobs.build.outputs.n + 1 }}' }\nsteps: [{ run: x }]"),
      "invalid-interpolation-expression jobs.use.env.N",
    ],
    // Durations
    ["a duration with a fraction", job("execution_timeout: 1.5h"), "invalid-duration jobs.a.execution_timeout"],
    ["a duration without a unit", job('execution_timeout: "90"'), "invalid-duration jobs.a.execution_timeout"],
    ["a timeout over a day", job("execution_timeout: 25h"), "invalid-duration jobs.a.execution_timeout"],
    ["a timeout under a second", job("execution_timeout: 500ms"), "invalid-duration jobs.a.execution_timeout"],
    [
      "listening for 31 days",
      listening("{ on: [{ source: gh, event: e }], timeout: 31d }"),
      "listening-timeout-exceeds-run-timeout jobs.a.listening.timeout",
    ],
    [
      "listening without an end",
      listening("{ on: [{ source: gh, event: e }] }"),
      "listening-job-missing-resolution-source jobs.a.listening",
    ],
    [
      "a debounce over a day",
      listening("{ on: [{ source: gh, event: e }], timeout: 1h, batch: { debounce: 25h } }"),
      "invalid-duration jobs.a.listening.batch.debounce",
    ],
    // Checkouts and agents
    [
      "a project and a connection",
      steps("- checkout: { project: p, connection: c }"),
      `checkout-target-invalid ${STEP}.checkout.connection`,
    ],
    [
      "a connection without a repository",
      steps("- checkout: { connection: c }"),
      `checkout-target-invalid ${STEP}.checkout.repository`,
    ],
    [
      "a provider that needs a cloud identity",
      steps("- { prompt: p, provider: amazon-bedrock }"),
      `invalid-provider ${STEP}.provider`,
    ],
    [
      "an unknown provider of claude",
      steps("- { prompt: p, harness: claude, provider: my-gateway }"),
      `invalid-provider ${STEP}.provider`,
    ],
    [
      "another provider of claude",
      steps("- { prompt: p, harness: claude, provider: openai }"),
      `harness-provider-incompatible ${STEP}.provider`,
    ],
    [
      "a model of another vendor",
      steps("- { prompt: p, harness: pi, provider: openai, model: claude-opus-4-8 }"),
      `invalid-model ${STEP}.model`,
    ],
    [
      "a model that claude does not have",
      steps("- { prompt: p, harness: claude, provider: anthropic, model: claude-sonnet-5 }"),
      `invalid-model ${STEP}.model`,
    ],
    [
      "a tool of the other harness",
      steps("- { prompt: p, harness: pi, tools: [Read] }"),
      `harness-tool-incompatible ${STEP}.tools.0`,
    ],
    ["tools without a harness", steps("- { prompt: p, tools: [read] }"), `missing-harness-for-tools ${STEP}.tools`],
    [
      "a thinking level of the other harness",
      steps("- { prompt: p, harness: pi, thinking: max }"),
      `harness-thinking-incompatible ${STEP}.thinking`,
    ],
    // YAML
    ["a list", "- a\n- b\n", "invalid-workflow-yaml 1:1"],
    ["a key twice", "name: a\nname: b\njobs: {}\n", "invalid-workflow-yaml 2:1"],
    ["two documents", "name: a\n---\nname: b\n", "invalid-workflow-yaml 2:1"],
  ])("%s", (_, yaml, expected) => {
    expect(verdict(yaml)).toEqual([expected].flat());
  });
});

describe("a value that would become code", () => {
  const warned = (text: string) => verdict(run(text));

  it.each([
    "eval ${{ event.x }}",
    "sh -c 'echo' ${{ event.x }}",
    'bash -ec "${{ event.x }}"',
    "cat a | awk ${{ event.x }}",
    "FOO=1 sudo sed -e ${{ event.x }}",
    "jq ${{ event.x }} file",
    ". ${{ event.x }}",
    "source ${{ event.x }}",
    "let n=${{ event.x }}",
    "declare -i n=${{ event.x }}",
    "ls | xargs sh -c ${{ event.x }}",
    "if eval ${{ event.x }}; then true; fi",
    "cat <<END\n${{ event.y }}\nEND",
    "echo $(echo ${{ event.y }})",
  ])("is accepted with one warning: %s", (text) => {
    expect(warned(text)).toEqual([`warning re-evaluating-command ${STEP}.run`]);
  });

  it.each([
    "echo eval ${{ event.x }}",
    "sh script.sh ${{ event.x }}",
    "eval a; echo ${{ event.x }}",
    "declare n=${{ event.x }}",
  ])("is no code in %s", (text) => {
    expect(warned(text)).toEqual([]);
  });
});

describe("a diagnostic", () => {
  const first = (yaml: string) => {
    const result = parseWorkflow(yaml);
    return result.ok ? undefined : result.diagnostics[0];
  };

  it("shows the line of today for a key of the older dialect", () => {
    const gate = first(steps("- run: x\n  gate:\n    success_if: exit_code == 0"));
    expect(gate).toMatchObject({ line: 8, column: 11, suggestion: "success" });
    expect(gate?.message).toContain("`success: step.exit_code == 0`");
    const feedback = first(
      steps("- { key: k, run: x }\n- run: y\n  gate:\n    on_failure:\n      restart_from: k\n      output: fix it"),
    );
    expect(feedback).toMatchObject({ suggestion: "feedback" });
    expect(feedback?.message).toContain('`feedback: "fix it"`');
  });

  it("suggests the word that was meant", () => {
    expect(first(run("echo ${{ evnt.ref }}"))?.suggestion).toBe("event");
    expect(first(job("if: event.a == 1"))?.suggestion).toBe("${{ event.a == 1 }}");
    expect(first(steps("- { prompt: p, thinking: hihg }"))?.suggestion).toBe("high");
    expect(first(trigger('{ source: cron, event: ticks, config: { schedule: "0 0 * * *" } }'))?.suggestion).toBe(
      "tick",
    );
  });
});

describe("an expression", () => {
  const faults = (source: string) => verdict(run(`echo \${{ ${source} }}`));

  it("is planned for the first moment at which all its names have a value", () => {
    const result = parseWorkflow(
      run(
        "${{ trigger.ref }}${{ event.a + inputs.b }}${{ execution.index }}${{ event.a + steps.b.outputs.c }}${{ 1 }}",
      ),
    );
    const step = result.ok ? result.model.jobs[0]?.steps[0] : undefined;
    const bindings = step && "bindings" in step ? Object.values(step.bindings ?? {}).flat() : [];
    expect(bindings.map((segment) => ("fill" in segment ? segment.fill : segment.kind))).toEqual([
      "ingest",
      "run-creation",
      "execution-creation",
      "step-dispatch",
      "ingest",
    ]);
  });

  it("of hostile size is refused, not read", () => {
    const refused = [`invalid-interpolation-template ${STEP}.run`];
    expect(faults("(".repeat(5_000) + "1" + ")".repeat(5_000))).toEqual(refused);
    expect(faults("!".repeat(10_000) + "true")).toEqual(refused);
    expect(faults(Array.from({ length: 3_000 }, (_, n) => `event.a${n}`).join(" + "))).toEqual(refused);
    expect(faults(`"${"a".repeat(20_000)}"`)).toEqual(refused);
    let nested = "true";
    for (let depth = 0; depth < 100; depth += 1) nested = `event.l.all(x${depth}, ${nested})`;
    expect(faults(nested)).toEqual(refused);
  });

  it("counts in each place, 20,000 at most", () => {
    const command = "${{ event.a }}".repeat(10_000);
    expect(verdict(steps(`- run: "${command}"\n- run: "${command}"`))).toEqual([]);
    expect(verdict(steps(`- run: "${command}"\n- run: "${command} \${{ event.b }}"`))).toEqual([
      "workflow-too-large jobs.a.steps.1.run",
    ]);
  });
});
