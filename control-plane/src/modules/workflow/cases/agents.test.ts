import { describe } from "vitest";
import { accepts, refuses, steps } from "./cases.fixture.ts";

const S = "jobs.a.steps.0";
const agent = (settings: string) => steps(`- { prompt: p, ${settings} }`);
const integration = (body: string) => agent(`integrations: [${body}]`);

describe("an agent step", () => {
  refuses([
    ["without a prompt", steps("- ‸{ model: m }"), `missing-key ${S}.prompt`],
    ["with an empty prompt", steps("- prompt: ‸''"), `invalid-value ${S}.prompt`],
    ["with a harness that there is not", agent("harness: ‸codex"), `invalid-value ${S}.harness`],
    ["with a misspelt harness", agent("harness: ‸cluade"), `invalid-value ${S}.harness → claude`],
    ["with an expression as its harness", agent("harness: ‸'${{ vars.H }}'"), `invalid-value ${S}.harness`],
    ["with a thinking level that there is not", agent("thinking: ‸huge"), `invalid-value ${S}.thinking`],
    ["with a misspelt thinking level", agent("thinking: ‸mediun"), `invalid-value ${S}.thinking → medium`],
    ["with a thinking level that is a truth value", agent("thinking: ‸false"), `invalid-type ${S}.thinking → "false"`],
    [
      "of claude with a level that it lacks",
      agent("harness: claude, thinking: ‸minimal"),
      `harness-thinking-incompatible ${S}.thinking`,
    ],
    [
      "of claude that does not think",
      agent("harness: claude, thinking: ‸off"),
      `harness-thinking-incompatible ${S}.thinking`,
    ],
    [
      "of pi with a level that it lacks",
      agent("harness: pi, thinking: ‸max"),
      `harness-thinking-incompatible ${S}.thinking`,
    ],
    ["with tools of no harness", agent("tools: ‸[read]"), `missing-harness-for-tools ${S}.tools`],
    ["with no tools in the list", agent("harness: pi, tools: ‸[]"), `invalid-value ${S}.tools`],
    [
      "of pi with a tool of claude",
      agent("harness: pi, tools: [read, ‸Bash]"),
      `harness-tool-incompatible ${S}.tools.1 → bash`,
    ],
    [
      "of claude with a tool of pi",
      agent("harness: claude, tools: [‸web_search]"),
      `harness-tool-incompatible ${S}.tools.0 → WebSearch`,
    ],
    ...["amazon-bedrock", "google-vertex", "openai-codex", "github-copilot"].map(
      (provider): [string, string, string] => [
        `of ${provider}, which needs a cloud identity`,
        agent(`provider: ‸${provider}`),
        `invalid-provider ${S}.provider`,
      ],
    ),
    [
      "of claude with a provider of the workspace's own",
      agent("harness: claude, provider: ‸my-gateway, model: foo"),
      `invalid-provider ${S}.provider → anthropic`,
    ],
    [
      "of claude with another vendor",
      agent("harness: claude, provider: ‸openai"),
      `harness-provider-incompatible ${S}.provider`,
    ],
    [
      "with a model of another vendor",
      agent("harness: pi, provider: openai, model: ‸claude-opus-4-8"),
      `invalid-model ${S}.model`,
    ],
    [
      "of claude with a model of pi alone",
      agent("harness: claude, provider: anthropic, model: ‸claude-sonnet-5"),
      `invalid-model ${S}.model → claude-sonnet-4-5`,
    ],
    ["with an integration of nothing", integration("‸{}"), `missing-key ${S}.integrations.0.include`],
    [
      "with an integration that includes nothing",
      integration("{ include: ‸[] }"),
      `invalid-value ${S}.integrations.0.include`,
    ],
    [
      "with an integration that excludes nothing",
      integration("{ include: [a], exclude: ‸[] }"),
      `invalid-value ${S}.integrations.0.exclude`,
    ],
    [
      "with everything of an integration",
      integration("{ include: [a, ‸'*'] }"),
      `invalid-value ${S}.integrations.0.include.1`,
    ],
    [
      "with an integration limited to repositories",
      integration("{ include: [a], ‸repos: [b] }"),
      `unknown-key ${S}.integrations.0`,
    ],
    [
      "with a permission in words",
      integration("{ include: [a], allow_write: ‸'yes' }"),
      `invalid-type ${S}.integrations.0.allow_write`,
    ],
    ["with no integrations in the list", agent("integrations: ‸[]"), `invalid-value ${S}.integrations`],
  ]);
  accepts([
    ["with a prompt alone", steps("- prompt: p"), { jobs: [{ steps: [{ type: "agent", name: "p" }] }] }],
    [
      "named after its model and the first line",
      steps("- prompt: |\n    \n    Fix it\n    soon\n  model: m"),
      { jobs: [{ steps: [{ name: "m · Fix it" }] }] },
    ],
    ["with the highest level and no harness", agent("thinking: max")],
    [
      "with a level that is known later",
      agent("harness: claude, thinking: '${{ inputs.level }}'"),
      { jobs: [{ steps: [{ thinking: [{ kind: "expression" }] }] }] },
    ],
    ["with a provider of the workspace's own", agent("provider: my-gateway, model: foo")],
    ["of pi with a provider of the workspace's own", agent("harness: pi, provider: my-gateway, model: foo")],
    ["with a model that is known later", agent("harness: pi, provider: openai, model: '${{ vars.MODEL }}'")],
    [
      "of claude with all its tools",
      agent("harness: claude, tools: [Read, Bash, Edit, Write, Glob, Grep, WebFetch, WebSearch]"),
    ],
    [
      "of pi with all its tools",
      agent(
        "harness: pi, tools: [read, bash, edit, write, grep, find, ls, web_search, fetch_content, get_search_content]",
      ),
    ],
    [
      "with some tools of a connection",
      integration(
        "{ connection: gh, include: [issue_read.get, 'pull_request_read.*'], exclude: [list_issues], allow_write: false }",
      ),
    ],
    [
      "with outputs, a folder and a condition",
      agent("key: k, if: '${{ true }}', working_directory: d, outputs: { v: json }"),
      { jobs: [{ steps: [{ key: "k", workingDirectory: "d", outputs: { v: { type: "json" } } }] }] },
    ],
  ]);
});
