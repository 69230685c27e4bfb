import { chmod, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { type DefinitionSync, validateDefinitionReplySchema } from "@shipfox/shared/api/definitions";
import { connectionSchema, installReplySchema } from "@shipfox/shared/api/integrations";
import { projectSchema } from "@shipfox/shared/api/projects";
import type { RunDetail } from "@shipfox/shared/api/runs";
import { setSecretsReplySchema, setVariablesReplySchema } from "@shipfox/shared/api/scoped-values";
import { webhookConnectionSchema } from "@shipfox/shared/api/webhook-connections";
import { type FakeRepository, GitHubServer } from "@shipfox/shared/github-server.fixture";
import { beforeAll, describe, expect, it } from "vitest";
import { call } from "./src/api.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { eventually } from "./src/eventually.ts";
import { Instance, jobOf, type ProjectHandle } from "./src/instance.ts";
import { Repository } from "./src/repository.ts";
import { useStage } from "./src/stage.ts";

const VALID = new URL("fixtures/workflows/valid/", import.meta.url);
const FILES = (await readdir(VALID)).filter((name) => name.endsWith(".yml")).sort();
const TOKEN = "scan-token-of-the-test";

/** What an agent step is run as: it prints what it was asked, fails once when it has outputs, and makes the tests pass at last. */
const AGENT = `echo "prompt: $PROMPT"; echo "settings: $MODEL $THINKING"
if test $# -gt 0 && ! test -e seen; then touch seen; exit 1; fi
for output; do echo "$output=fine" >> "$SHIPFOX_OUTPUT"; done
echo x >> agent-runs; test "$(wc -l < agent-runs)" -lt 2 || touch fixed
`;
const REPOSITORY = {
  "README.md": "# App\n",
  "agent.sh": AGENT,
  "scan.sh": '#!/bin/sh\necho "scan $*"; test "$AUTH" = "Bearer $API_TOKEN" && echo "token of ${#API_TOKEN}"\n',
  "shared/text": "of the app\n",
  "sub/folder/keep": "",
  ".npmrc": "offline=true\naudit=false\nfund=false\nupdate-notifier=false\n",
  "package.json": JSON.stringify({ name: "app", version: "1.0.0", scripts: { test: "test -e fixed" } }),
  "package-lock.json": JSON.stringify({
    name: "app",
    version: "1.0.0",
    lockfileVersion: 3,
    packages: { "": { name: "app", version: "1.0.0" } },
  }),
};
const AGENT_KEYS = ["prompt", "model", "provider", "thinking", "harness", "tools", "integrations"];

type StepDocument = Record<string, unknown>;
interface Workflow {
  readonly name: string;
  readonly triggers?: Record<string, { source: string }>;
  readonly jobs: Record<string, { steps: StepDocument[] }>;
}

/** Agents are not run yet: the same step with a command in the place of its agent. */
function withoutAgents(workflow: Workflow): Workflow {
  const replaced = ({ prompt, model = "", thinking = "", ...step }: StepDocument): StepDocument => {
    if (prompt === undefined) return step;
    const own = Object.entries(step).filter(([key]) => !AGENT_KEYS.includes(key));
    const outputs = Object.keys((step["outputs"] as object | undefined) ?? {});
    const env = { PROMPT: prompt, MODEL: model, THINKING: thinking };
    return { ...Object.fromEntries(own), run: ["sh ./agent.sh", ...outputs].join(" "), env };
  };
  const jobs = Object.entries(workflow.jobs).map(([key, job]) => [key, { ...job, steps: job.steps.map(replaced) }]);
  return { ...workflow, jobs: Object.fromEntries(jobs) };
}

describe("[host] the examples of the language", () => {
  const stage = useStage();
  let github: GitHubServer;
  let instance: Instance;
  let project: ProjectHandle;
  let app: FakeRepository;
  let installation: { id: number };
  let webhookId: string;
  let sync: DefinitionSync;
  const written = new Map<string, Workflow>();
  const verdicts: [file: string, reply: unknown][] = [];

  beforeAll(async () => {
    github = await GitHubServer.start();
    stage.onEnd(() => github.close());
    instance = await Instance.create(stage, await ControlPlane.start(stage, { env: github.environment }));
    for (const file of FILES) {
      const yaml = await readFile(new URL(file, VALID), "utf8");
      const reply = await instance.api.post(validateDefinitionReplySchema, "/definitions/validate", { yaml });
      verdicts.push([file, reply]);
      if (reply.valid) written.set(file, reply.workflow_document as unknown as Workflow);
    }
    const workflows = [...written].map(
      ([file, workflow]) => [`.shipfox/workflows/${file}`, JSON.stringify(withoutAgents(workflow))] as const,
    );
    const repository = await Repository.create(stage, { ...REPOSITORY, ...Object.fromEntries(workflows) });
    await chmod(join(repository.folder, "scan.sh"), 0o755);
    await repository.commit({});
    const library = await Repository.create(stage, { "shared/text": "of the library\n" });
    const shown = { owner: "acme", private: true, defaultBranch: "main" };
    app = { ...shown, id: 7, name: "app", folder: repository.folder };
    const lib = { ...shown, id: 8, name: "lib", folder: library.folder };
    installation = github.install("acme", [app, lib]);
    const workspace = { workspace_id: instance.workspaceId };
    const { install_url } = await instance.api.post(installReplySchema, "/integrations/github/install", workspace);
    const state = new URL(install_url).searchParams.get("state") ?? "";
    const query = new URLSearchParams({
      code: github.codeOf([app, lib]),
      installation_id: `${installation.id}`,
      state,
    });
    const linked = await instance.api.get(connectionSchema, `/integrations/github/callback/api?${query.toString()}`);
    const webhook = { ...workspace, name: "builds", slug: "builds" };
    const connections = "/integrations/webhook/connections";
    webhookId = (await instance.api.post(webhookConnectionSchema, connections, webhook)).id;
    const settings = `/workspaces/${instance.workspaceId}`;
    const secrets = { entries: [{ key: "SCAN_TOKEN", value: TOKEN }] };
    await instance.api.post(setSecretsReplySchema, `${settings}/secrets:batch`, secrets);
    const variables = [
      { key: "REGION", value: "eu" },
      { key: "REVIEW_MODEL", value: "claude-opus-4-8" },
    ];
    await instance.api.post(setVariablesReplySchema, `${settings}/variables:batch`, { entries: variables });
    const made = await instance.api.post(projectSchema, "/projects", {
      ...workspace,
      name: "App",
      source: { connection_id: linked.id, external_repository_id: "github:7" },
    });
    sync = await instance.syncOver(made.id);
    project = { id: made.id, slug: made.slug, repository };
    await instance.runner({ sandbox: "host" });
  });

  /** What all steps of the run printed, in all their attempts. */
  async function printed(run: RunDetail): Promise<string> {
    const steps = run.jobs.flatMap((job) => job.job_executions.flatMap((execution) => execution.steps));
    const texts = steps.flatMap(({ id, current_attempt: attempts, status }) =>
      status === "skipped" ? [] : Array.from({ length: attempts }, (_, index) => instance.logText(id, index + 1)),
    );
    return (await Promise.all(texts)).join("");
  }

  async function send(delivery: string, body: object): Promise<void> {
    const headers = { "x-delivery-id": delivery };
    expect((await call(instance.plane.url, "POST", `/webhook/${webhookId}`, { body, headers })).status).toBe(202);
  }

  const nameOf = (file: string) => (written.get(file)?.name ?? "").replaceAll("$${{", () => "${{");

  /** Runs of the file that some event started. */
  async function startedBy(file: string, count = 1): Promise<RunDetail[]> {
    const ids = await eventually(`${count} runs of ${file} are there`, async () => {
      const { runs } = await instance.api.client.runs.list({ project_id: project.id, limit: 100 });
      const found = runs.filter((run) => run.workflow_name === nameOf(file)).map(({ id }) => id);
      return found.length === count ? found : null;
    });
    return Promise.all(ids.map((id) => instance.waitForRun(id)));
  }

  const repositoryOf = () => ({ id: app.id, full_name: "acme/app", default_branch: "main" });

  /** Files that do not run by hand alone, and what starts or drives them. */
  const DRIVEN: Record<string, () => Promise<RunDetail[]>> = {
    "04.yml": async () => {
      const runId = await instance.fire(project, nameOf("04.yml"));
      const collected = (executions: number) =>
        instance.waitForRun(runId, (run) => {
          const { waiting, job_executions: all } = jobOf(run, "collect");
          return (
            waiting?.reason === "listening" && all.filter((one) => one.status === "succeeded").length === executions
          );
        });
      await collected(0);
      const build = (number: number) => send(`build-${number}`, { kind: "build", channel: "nightly", number });
      await build(1);
      await send("other", { kind: "build", channel: "stable", number: 99 });
      await build(2);
      await collected(1);
      await build(3);
      await build(4);
      await collected(2);
      await send("done", { kind: "done" });
      return [await instance.waitForRun(runId)];
    },
    "06.yml": async () => {
      const after = await project.repository.git("rev-parse", "HEAD");
      const push = {
        ref: "refs/heads/main",
        after,
        repository: repositoryOf(),
        sender: { login: "ada" },
        installation,
      };
      const elsewhere = { ...push, ref: "refs/heads/other" };
      expect(await github.deliver(instance.plane.url, "push", elsewhere, "push-1")).toBe(204);
      expect(await github.deliver(instance.plane.url, "push", push, "push-2")).toBe(204);
      await send("reason", { reason: "external" });
      return startedBy("06.yml", 2);
    },
    "09.yml": async () => {
      const sha = await project.repository.git("rev-parse", "HEAD");
      const ready = {
        action: "ready_for_review",
        repository: repositoryOf(),
        pull_request: {
          number: 12,
          updated_at: "2026-05-04T10:00:00Z",
          head: { sha, repo: { id: app.id } },
          base: { repo: { id: app.id } },
          author_association: "MEMBER",
        },
        sender: { login: "ada" },
        installation,
      };
      expect(await github.deliver(instance.plane.url, "pull_request", ready, "ready-1")).toBe(204);
      return startedBy("09.yml");
    },
  };

  /** What the steps print, and how jobs end that do not succeed. */
  const PRINTS: Record<string, { lines: string[]; jobs?: Record<string, string> }> = {
    "01.yml": { lines: ["hello world"] },
    "02.yml": { lines: ["size is 42", "publish v1.2.3-beta"], jobs: { rescue: "skipped" } },
    "03.yml": { lines: ["prompt: Make the test suite pass. Attempt 1.", "Reviewer note: exit 1"] },
    "04.yml": { lines: ["events [1,2]", "events [3,4]", "the last batch had 2"] },
    "05.yml": { lines: ["scan --depth quick --region eu", `token of ${TOKEN.length}`] },
    "06.yml": { lines: ["bare push single github_acme double push", "bare call single builds double received"] },
    "07.yml": { lines: ["diff: app/shared: No such file or directory"] },
    "08.yml": { lines: ["attempt 3 score was 2", "forgiven after 3"] },
    "09.yml": { lines: ["prompt: Review pull request 12 in acme/app.", "settings: claude-opus-4-8 high"] },
    "10.yml": { lines: ['step a "b" ${{ kept }}', '3 a "b" ${{ kept }}'] },
  };

  it("are accepted without a warning, each file and all of them together", () => {
    expect(verdicts).toMatchObject(FILES.map((file) => [file, { valid: true, warnings: [] }]));
    expect(sync).toMatchObject({ status: "succeeded", warnings: [] });
  });

  it.each(FILES)("%s runs as it says", async (file) => {
    const runs = DRIVEN[file]
      ? await DRIVEN[file]()
      : [await instance.waitForRun(await instance.fire(project, nameOf(file)))];
    const { lines, jobs: others = {} } = PRINTS[file] ?? { lines: [] };
    const log = (await Promise.all(runs.map(printed))).join("");
    expect(runs.map(({ status }) => status)).toEqual(runs.map(() => "succeeded"));
    for (const run of runs) {
      for (const job of run.jobs) expect([job.key, job.status]).toEqual([job.key, others[job.key] ?? "succeeded"]);
    }
    for (const line of lines) expect(log).toContain(line);
    expect(log).not.toContain(TOKEN);
    expect(log).not.toContain("never\n");
  });
});
