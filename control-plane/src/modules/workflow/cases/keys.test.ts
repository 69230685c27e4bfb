import { describe } from "vitest";
import { accepts, job, refuses, steps, top } from "./cases.fixture.ts";

const STEP = "jobs.a.steps.0";
const FOREIGN = ["on", "version", "defaults", "permissions", "concurrency", "secrets", "vars", "timeout", "stages"];

describe("the keys at the top", () => {
  refuses([
    ...FOREIGN.map((key): [string, string, string] => [
      `\`${key}\``,
      top(`‸${key}: {}`),
      `unknown-key (root)${{ on: " → triggers" }[key] ?? ""}`,
    ]),
    ["no name", "runner: x\njobs: { a: { steps: [{ run: b }] } }\n".replace(/^/, "‸"), "missing-key name"],
    ["no jobs", "‸name: a\nrunner: x\n", "missing-key jobs"],
    ["jobs without any", "name: a\nrunner: x\njobs: ‸{}\n", "invalid-value jobs"],
    ["jobs in a list", "name: a\nrunner: x\njobs: ‸[{ steps: [] }]\n", "invalid-type jobs"],
    ["an empty name", "name: ‸''\nrunner: x\njobs: { a: { steps: [{ run: b }] } }\n", "invalid-value name"],
    [
      "a name of 256 characters",
      `name: ‸${"n".repeat(256)}\nrunner: x\njobs: { a: { steps: [{ run: b }] } }\n`,
      "invalid-value name",
    ],
    [
      "an expression in the name",
      "name: ‸a ${{ run.number }}\nrunner: x\njobs: { a: { steps: [{ run: b }] } }\n",
      "invalid-value name",
    ],
    ["an empty run name", top("run_name: ‸''"), "invalid-value run_name"],
    ["a run name in a list", top("run_name: ‸[a]"), "invalid-type run_name"],
    ["no label in the list", "name: a\nrunner: ‸[]\njobs: { a: { steps: [{ run: b }] } }\n", "invalid-value runner"],
    ["an empty label", "name: a\nrunner: [x, ‸'']\njobs: { a: { steps: [{ run: b }] } }\n", "invalid-value runner.1"],
    [
      "a label that is a number",
      "name: a\nrunner: ‸24\njobs: { a: { steps: [{ run: b }] } }\n",
      'invalid-type runner → "24"',
    ],
    ["variables in a list", top("env: ‸[A=b]"), "invalid-type env"],
    ["triggers in a list", top("triggers: ‸[manual]"), "invalid-type triggers"],
    [
      "a misspelt required key, once",
      "name: a\nrunner: x\n‸job: { a: { steps: [{ run: b }] } }\n",
      "unknown-key (root) → jobs",
    ],
    [
      "several faults, in the order of the file",
      "nam‸e: ''\n".replace("nam‸e: ", "name: ‸") + "runner: ‸[]\njobs: { a: { steps: ‸[] } }\n",
      "invalid-value name",
      "invalid-value runner",
      "invalid-value jobs.a.steps",
    ],
  ]);
  accepts([
    ["no trigger at all", top(""), { manualTrigger: null }],
    [
      "an escaped opener in the name",
      "name: a $${{ b }}\nrunner: x\njobs: { a: { steps: [{ run: b }] } }\n",
      { name: "a ${{ b }}" },
    ],
    ["a name of 255 characters", `name: ${"n".repeat(255)}\nrunner: x\njobs: { a: { steps: [{ run: b }] } }\n`],
    ["no variables in the mapping for them", top("env: {}")],
    ["a list of one label", top("").replace("runner: x", "runner: [x]"), { jobs: [{ runner: ["x"] }] }],
  ]);
});

describe("the keys of a job", () => {
  refuses([
    ...["strategy", "container", "permissions", "defaults", "with"].map((key): [string, string, string] => [
      `\`${key}\``,
      job(`‸${key}: {}`),
      `unknown-key jobs.a${{ container: " → image" }[key] ?? ""}`,
    ]),
    ["`continue-on-error`", job("‸continue-on-error: true"), "unknown-key jobs.a"],
    ["`timeout-minutes`", job("‸timeout-minutes: 5"), "unknown-key jobs.a → execution_timeout"],
    ["`runs-on`", job("‸runs-on: ubuntu"), "unknown-key jobs.a → runner"],
    ["`tags`", job("‸tags: [a]"), "unknown-key jobs.a → runner"],
    ["`depends_on`", job("‸depends_on: b"), "unknown-key jobs.a → needs"],
    ["`variables`", job("‸variables: {}"), "unknown-key jobs.a → env"],
    ["`script`", job("‸script: [x]"), "unknown-key jobs.a"],
    [
      "a job without steps",
      "name: a\nrunner: x\njobs:\n  a:\n    ‸name: b\n".replace("    ‸name", "    name").replace("  a:", "  ‸a:"),
      "missing-key jobs.a.steps",
    ],
    ["steps in a mapping", job("steps: ‸{ run: x }"), "invalid-type jobs.a.steps"],
    ["a step that is a text", job("steps: [‸make]"), "invalid-type jobs.a.steps.0"],
    ["a job in a list", "name: a\nrunner: x\njobs: { a: ‸[{ run: x }] }\n", "invalid-type jobs.a"],
    ["an empty key of a job", "name: a\nrunner: x\njobs: { ‸'': { steps: [{ run: x }] } }\n", "invalid-value jobs."],
    ["an expression as the name", job("name: ‸${{ run.number }}"), "invalid-value jobs.a.name"],
    ["`needs` in a mapping", job("needs: ‸{ a: b }"), "invalid-type jobs.a.needs"],
    ["an empty need", job("needs: [‸'']"), "invalid-value jobs.a.needs.0"],
    ["a success condition that is a truth value", job("success: ‸true"), 'invalid-type jobs.a.success → "true"'],
    ["an output that is a number", job("outputs: { v: ‸1 }"), 'invalid-type jobs.a.outputs.v → "1"'],
    ["an empty output", job("outputs: { v: ‸'' }"), "invalid-value jobs.a.outputs.v"],
    ["an output key that starts with a digit", job("outputs: { ‸1v: x }"), "invalid-value jobs.a.outputs.1v"],
    [
      "129 outputs",
      job(`‸outputs: { ${Array.from({ length: 129 }, (_, n) => `v${n}: x`).join(", ")} }`),
      "invalid-value jobs.a.outputs",
    ],
    [
      "permissions of a checkout that there are not",
      job("checkout: { permissions: { ‸packages: read } }"),
      "unknown-key jobs.a.checkout.permissions",
    ],
    [
      "a permission that there is not",
      job("checkout: { permissions: { contents: ‸admin } }"),
      "invalid-value jobs.a.checkout.permissions.contents",
    ],
    ["a checkout that is text", job("checkout: ‸none"), "invalid-type jobs.a.checkout"],
    [
      "a yes that is text",
      job("checkout: { persist-credentials: ‸'yes' }"),
      "invalid-type jobs.a.checkout.persist-credentials",
    ],
    ["half a commit", job("checkout: { fetch-depth: ‸0.5 }"), "invalid-value jobs.a.checkout.fetch-depth"],
  ]);
  accepts([
    ["a name with an escaped opener", job("name: $${{ a"), { jobs: [{ name: "${{ a" }] }],
    [
      "a checkout as it is by default",
      job("checkout: {}"),
      { jobs: [{ checkout: { contents: "read", persistCredentials: false, fetchDepth: 1 } }] },
    ],
    [
      "a checkout with the whole history",
      job("checkout: { fetch-depth: 0 }"),
      { jobs: [{ checkout: { fetchDepth: 0 } }] },
    ],
    ["a job without a checkout", job("checkout: false"), { jobs: [{ checkout: null }] }],
    ["an execution timeout of six hours by default", job(""), { jobs: [{ executionTimeoutMs: 21_600_000 }] }],
    [
      "one need as text",
      "name: a\nrunner: x\njobs: { a: { steps: [{ run: x }] }, b: { needs: a, steps: [{ run: x }] } }\n",
      { jobs: [{}, { needs: ["a"] }] },
    ],
    [
      "a need twice, which is one",
      "name: a\nrunner: x\njobs: { a: { steps: [{ run: x }] }, b: { needs: [a, a], steps: [{ run: x }] } }\n",
      { jobs: [{}, { needs: ["a"] }] },
    ],
  ]);
});

describe("the keys of a step", () => {
  const foreign = (kind: string, keys: readonly string[]): [string, string, string][] =>
    keys.map((key) => [
      `\`${key}\` beside ${kind}`,
      steps(`- { ${kind}, ‸${key}: x }`),
      `unsupported-key ${STEP}.${key}`,
    ]);
  refuses([
    ...foreign("run: x", ["prompt", "model", "provider", "thinking", "harness", "tools", "integrations", "checkout"]),
    ...foreign("checkout: {}", ["env", "timeout", "prompt", "model", "tools"]),
    ...foreign("prompt: p", ["env", "timeout"]),
    ...["shell", "with", "continue-on-error", "user", "uses"].map((key): [string, string, string] => [
      `\`${key}\``,
      steps(`- { run: x, ‸${key}: y }`),
      `unknown-key ${STEP}`,
    ]),
    ["`retry`, which only a job has", steps("- { run: x, ‸retry: 1 }"), `unknown-key ${STEP}`],
    ["`id`", steps("- { run: x, ‸id: y }"), `unknown-key ${STEP} → key`],
    ["`command`", steps("- { ‸command: x }"), `unknown-key ${STEP} → run`],
    ["`working-directory`", steps("- { run: x, ‸working-directory: y }"), `unknown-key ${STEP} → working_directory`],
    ["`Run`", steps("- { ‸Run: x }"), `unknown-key ${STEP} → run`],
    ["`timeout-minutes`", steps("- { run: x, ‸timeout-minutes: 1 }"), `unknown-key ${STEP} → timeout`],
    ["the reserved word `agent` alone", steps("- { ‸agent: { prompt: p } }"), `unsupported-key ${STEP}.agent`],
    ["a step of nothing", steps("- ‸{}"), `missing-key ${STEP}`],
    ["an empty key", steps("- { run: x, key: ‸'' }"), `invalid-value ${STEP}.key`],
    ["an expression as a key", steps("- { run: x, key: ‸'${{ vars.A }}' }"), `invalid-value ${STEP}.key`],
    ["a condition that is a truth value", steps("- { run: x, if: ‸true }"), `invalid-type ${STEP}.if → "true"`],
    ["a gate of nothing", steps("- { run: x, gate: ‸{} }"), `invalid-value ${STEP}.gate`],
    [
      "a gate with another key",
      steps("- { run: x, gate: { ‸sucess: step.exit_code == 0 } }"),
      `unknown-key ${STEP}.gate → success`,
    ],
    [
      "a gate that goes nowhere",
      steps("- { run: x, gate: { ‸on_failure: { feedback: f } } }"),
      `missing-key ${STEP}.gate.on_failure.restart_from`,
    ],
    [
      "`success_if`",
      steps("- { run: x, gate: { ‸success_if: exit_code == 0 } }"),
      `renamed-key ${STEP}.gate.success_if → success`,
    ],
    [
      "`output` of a failed gate",
      steps("- { key: k, run: x }\n- { run: x, gate: { on_failure: { restart_from: k, ‸output: again } } }"),
      "renamed-key jobs.a.steps.1.gate.on_failure.output → feedback",
    ],
    ["outputs in a list", steps("- { run: x, outputs: ‸[v] }"), `invalid-type ${STEP}.outputs`],
    ["outputs without any", steps("- { run: x, outputs: ‸{} }"), `invalid-value ${STEP}.outputs`],
    [
      "an output of a misspelt type",
      steps("- { run: x, outputs: { v: ‸bolean } }"),
      `invalid-value ${STEP}.outputs.v → boolean`,
    ],
    [
      "an output of another language's type",
      steps("- { run: x, outputs: { v: ‸integer } }"),
      `invalid-value ${STEP}.outputs.v`,
    ],
    [
      "an output without a type",
      steps("- { run: x, outputs: { ‸v: { ‸schema: {} } } }"),
      `missing-key ${STEP}.outputs.v.type`,
      `invalid-value ${STEP}.outputs.v.schema`,
    ],
    ["a checkout that is text", steps("- checkout: ‸main"), `invalid-type ${STEP}.checkout`],
    ["a checkout with another key", steps("- checkout: { ‸branch: main }"), `unknown-key ${STEP}.checkout`],
    [
      "a checkout of less than nothing",
      steps("- checkout: { fetch-depth: ‸-1 }"),
      `invalid-value ${STEP}.checkout.fetch-depth`,
    ],
    ["a checkout by text force", steps("- checkout: { force: ‸'true' }"), `invalid-type ${STEP}.checkout.force`],
    [
      "a project with a repository",
      steps("- checkout: { project: p, ‸repository: r }"),
      `checkout-target-invalid ${STEP}.checkout.repository`,
    ],
  ]);
  accepts([
    [
      "all keys of a run step",
      steps(
        "- key: k\n  name: n ${{ vars.A }}\n  if: ${{ true }}\n  run: x\n  env: { A: b }\n  working_directory: d\n  timeout: 5m\n  gate: { success: step.exit_code == 0 }\n  outputs: { v: string }",
      ),
      {
        jobs: [
          {
            steps: [
              {
                key: "k",
                run: "x",
                env: { A: "b" },
                workingDirectory: "d",
                timeoutMs: 300_000,
                outputs: { v: { type: "string" } },
              },
            ],
          },
        ],
      },
    ],
    [
      "all keys of a checkout step",
      steps(
        "- key: k\n  name: n\n  if: ${{ true }}\n  checkout: { connection: c, repository: r, ref: main, path: p, fetch-depth: 0, permissions: { contents: write }, persist-credentials: false, force: true }\n  outputs: { v: string }",
      ),
      {
        jobs: [
          { steps: [{ type: "checkout", fetchDepth: 0, contents: "write", persistCredentials: false, force: true }] },
        ],
      },
    ],
    [
      "a checkout of nothing said",
      steps("- checkout: {}"),
      {
        jobs: [
          { steps: [{ type: "checkout", fetchDepth: 1, contents: "read", persistCredentials: true, force: false }] },
        ],
      },
    ],
    [
      "a gate on an agent step",
      steps("- { key: k, run: x }\n- { prompt: p, gate: { on_failure: { restart_from: k } } }"),
      { jobs: [{ steps: [{}, { gate: { success: null, restartFrom: "k" } }] }] },
    ],
    [
      "a gate with feedback",
      steps(
        "- { key: k, run: x }\n- { run: y, gate: { success: 'step.exit_code in [0, 3]', on_failure: { restart_from: k, feedback: '${{ step.exit_code }}' } } }",
      ),
      { jobs: [{ steps: [{}, { gate: { success: "step.exit_code in [0, 3]", restartFrom: "k" } }] }] },
    ],
    [
      "a name from the first line that does something",
      steps("- run: |\n    # note\n\n      make test\n    make x"),
      { jobs: [{ steps: [{ name: "make test" }] }] },
    ],
    [
      "a schema that is `true`",
      steps("- { run: x, outputs: { v: { type: json, schema: true } } }"),
      { jobs: [{ steps: [{ outputs: { v: { type: "json", schema: true } } }] }] },
    ],
    [
      "the line range of each step",
      steps("- run: |\n    a\n    b\n\n- run: c"),
      {
        jobs: [
          {
            steps: [
              { sourceLocation: { startLine: 6, endLine: 8 } },
              { sourceLocation: { startLine: 10, endLine: 10 } },
            ],
          },
        ],
      },
    ],
  ]);
});
