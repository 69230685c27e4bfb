import { connectionSchema, installReplySchema, repositoriesReplySchema } from "@shipfox/shared/api/integrations";
import { projectSchema } from "@shipfox/shared/api/projects";
import { type FakeRepository, GitHubServer } from "@shipfox/shared/github-server.fixture";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { eventually } from "./src/eventually.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runStep, workflow } from "./src/instance.ts";
import { filesWith } from "./src/files-with.ts";
import { Repository } from "./src/repository.ts";
import type { Runner } from "./src/runner.ts";
import { useStage } from "./src/stage.ts";

const CI = workflow(
  "CI",
  `  build:
    steps:
      - run: |
          cat README.md
          git config --list | grep -i -c extraheader || true
          env
  test:
    needs: build
    steps:
      - run: exit 3
`,
);

describe("a project on GitHub", () => {
  const stage = useStage();
  let github: GitHubServer;
  let instance: Instance;
  let shown: FakeRepository;
  let installation: { id: number };
  let connectionId: string;
  let project: ProjectHandle;
  let runner: Runner;

  beforeAll(async () => {
    github = await GitHubServer.start();
    stage.onEnd(() => github.close());
    // Neither http nor private addresses are allowed to members: the operator's own GitHub is no such address.
    const plane = await ControlPlane.start(stage, { env: { ...github.environment, SHIPFOX_GIT_ALLOW_FILE: "false" } });
    instance = await Instance.create(stage, plane);
    const repository = await Repository.create(stage, {
      "README.md": "# Private\n",
      ".shipfox/workflows/ci.yml": CI,
    });
    shown = { id: 7, owner: "acme", name: "app", private: true, defaultBranch: "main", folder: repository.folder };
    installation = github.install("acme", [shown]);

    const { install_url } = await instance.api.post(installReplySchema, "/integrations/github/install", {
      workspace_id: instance.workspaceId,
    });
    const state = new URL(install_url).searchParams.get("state") ?? "";
    const query = new URLSearchParams({ code: github.codeOf([shown]), installation_id: `${installation.id}`, state });
    const linked = await instance.api.get(connectionSchema, `/integrations/github/callback/api?${query.toString()}`);
    connectionId = linked.id;
    const listed = await instance.api.get(
      repositoriesReplySchema,
      `/integration-connections/${connectionId}/repositories?search=app`,
    );
    const made = await instance.api.post(projectSchema, "/projects", {
      workspace_id: instance.workspaceId,
      name: "App",
      source: { connection_id: connectionId, external_repository_id: listed.repositories[0]?.external_repository_id },
    });
    await instance.syncOver(made.id);
    project = { id: made.id, slug: made.slug, repository };
    runner = await instance.runner();
  });

  it("is checked out with a token of its own by a runner, and its jobs are shown on the commit", async () => {
    const runId = await instance.fire(project, "CI");
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("failed");
    const log = await instance.logText(runStep(jobOf(run, "build")).id);
    expect(log).toContain("# Private");
    expect(log).not.toMatch(/ghs_|x-access-token/);

    const commit = await project.repository.git("rev-parse", "HEAD");
    const check = (name: string) => github.checkRuns.find((candidate) => candidate.name === name);
    await eventually("GitHub shows how the jobs ended", async () => check("CI / test")?.status === "completed");
    expect(check("CI / build")).toMatchObject({ head_sha: commit, status: "completed", conclusion: "success" });
    expect(check("CI / test")).toMatchObject({
      head_sha: commit,
      conclusion: "failure",
      external_id: jobOf(run, "test").id,
      details_url: `${instance.plane.url}/app/runs/${runId}`,
    });
    expect(github.checkRuns).toHaveLength(2);
  });

  it("follows a push, and what was told before a crash is not lost", async () => {
    const commit = await project.repository.commit({
      ".shipfox/workflows/ci.yml": CI.replace("name: CI", "name: CI two"),
    });
    const push = { ref: "refs/heads/main", repository: { id: shown.id, default_branch: "main" }, installation };
    expect(await github.deliver(instance.plane.url, "push", push, "push-1")).toBe(204);
    await instance.plane.kill9();
    await instance.plane.restart();
    await eventually("the pushed workflow is known", async () => {
      const { definitions } = await instance.definitions(project.id);
      return definitions.some(({ name, sha }) => name === "CI two" && sha === commit);
    });
    expect(await github.deliver(instance.plane.url, "push", push, "push-1")).toBe(204);
    const path = `/trigger-events?workspace_id=${instance.workspaceId}&source=github_acme`;
    expect((await instance.api.call("GET", path)).body).toMatchObject({ trigger_events: [{ delivery_id: "push-1" }] });
  });

  it("is out of reach when its connection is disabled, and the job says so", async () => {
    const change = { body: { lifecycle_status: "disabled" } };
    await instance.api.call("PATCH", `/integration-connections/${connectionId}`, change);
    const run = await instance.waitForRun(await instance.fire(project, "CI two"));
    expect(run.status).toBe("failed");
    const [setup] = newestExecution(jobOf(run, "build")).steps;
    expect(JSON.stringify(setup)).toContain("disabled");
  });

  it("leaves no secret of the app and no token in the database, the logs and what was said", async () => {
    const { child, dataDir } = instance.plane;
    // Written out of the write-ahead log, so that all of it is looked at.
    await instance.plane.stop();
    expect(github.secrets.length).toBeGreaterThan(5);
    expect(filesWith([dataDir, runner.stateDir], github.secrets)).toEqual([]);
    for (const secret of github.secrets) expect(child.output + runner.child.output).not.toContain(secret);
  });
});
