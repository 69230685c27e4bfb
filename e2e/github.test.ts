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

const TWO = `name: Two repositories
runner: linux
triggers:
  by_hand: { source: manual, event: fire, with: { ref: main } }
jobs:
  sync:
    steps:
      - key: main
        checkout:
          ref: \${{ inputs.ref }}
          fetch-depth: 0
          path: app
      - key: lib
        checkout:
          connection: github_acme
          repository: acme/lib
          path: lib
          permissions: { contents: write }
          persist-credentials: true
          force: true
      - run: diff -r ../app/shared shared || true
        working_directory: lib
      - run: |
          git -C lib commit --quiet --allow-empty -m 'From a job' && git -C lib push --quiet origin HEAD:refs/heads/from-job
          ! git -C lib -c "http.extraHeader=$(git -C lib config --get-regexp extraheader | cut -d' ' -f2-)" ls-remote "$(git -C app remote get-url origin)"
`;

describe("a project on GitHub", () => {
  const stage = useStage();
  let github: GitHubServer;
  let instance: Instance;
  let shown: FakeRepository;
  let library: Repository;
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
      ".shipfox/workflows/two.yml": TWO,
      "shared/a.txt": "of the app\n",
    });
    library = await Repository.create(stage, { "shared/a.txt": "of the library\n" });
    await library.git("config", "http.receivepack", "true");
    shown = { id: 7, owner: "acme", name: "app", private: true, defaultBranch: "main", folder: repository.folder };
    const lib = { ...shown, id: 8, name: "lib", folder: library.folder };
    installation = github.install("acme", [shown, lib]);

    const { install_url } = await instance.api.post(installReplySchema, "/integrations/github/install", {
      workspace_id: instance.workspaceId,
    });
    const state = new URL(install_url).searchParams.get("state") ?? "";
    const query = new URLSearchParams({
      code: github.codeOf([shown, lib]),
      installation_id: `${installation.id}`,
      state,
    });
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

  it("works with two repositories in one job, each with a token of its own, and writes to the one that it may write to", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Two repositories"));
    const { steps } = newestExecution(jobOf(run, "sync"));
    expect(steps.map(({ name, status }) => [name, status])).toEqual(steps.map(({ name }) => [name, "succeeded"]));
    const commit = await library.git("rev-parse", "main");
    expect(steps[2]?.outputs?.["checkout"]).toMatchObject({ repository: `${github.url}/acme/lib.git`, commit });
    expect(await instance.logText(steps[3]?.id ?? "")).toMatch(/of the app[\s\S]*of the library/);
    expect(await library.git("log", "-1", "--format=%an <%ae>", "from-job")).toBe(
      "shipfox-test[bot] <shipfox-test[bot]@users.noreply.127.0.0.1>",
    );
    expect((await Promise.all(steps.map(({ id }) => instance.logText(id)))).join("")).not.toContain("ghs_");
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

  it("runs what was pushed at the commit of the push, also when a newer one came since", async () => {
    const onPush = `name: On push
triggers:
  pushed: { source: github_acme, event: push, filter: "event.ref == 'refs/heads/main'" }
jobs:
  read: { runner: linux, steps: [{ run: cat README.md }] }
  again: { runner: linux, needs: read, steps: [{ run: cat README.md }] }
`;
    const { repository } = project;
    const after = await repository.commit({ ".shipfox/workflows/push.yml": onPush, "README.md": "pushed\n" });
    await repository.commit({ "README.md": "newer\n" });
    const push = {
      ref: "refs/heads/main",
      after,
      repository: { id: shown.id, full_name: "acme/app", default_branch: "main" },
      sender: { login: "ada" },
      installation,
    };
    expect(await github.deliver(instance.plane.url, "push", push, "push-2")).toBe(204);
    const run = await instance.waitForRun(await startedRun("On push"));
    expect(run).toMatchObject({
      status: "succeeded",
      trigger_provider: "github",
      trigger_source: "github_acme",
      trigger_event: "push",
      trigger_reference: { repository: "acme/app", ref: "refs/heads/main", commit: after, actor: "ada" },
    });
    for (const key of ["read", "again"])
      expect(await instance.logText(runStep(jobOf(run, key)).id)).toContain("pushed\n");
    await eventually("GitHub shows the jobs on that commit", async () =>
      ["read", "again"].every((key) =>
        github.checkRuns.some(({ name, head_sha }) => name === `On push / ${key}` && head_sha === after),
      ),
    );
  });

  it("runs a pull request from a fork at its head once it was approved", async () => {
    const { repository } = project;
    const onPull = `name: On pull
triggers:
  opened: { source: github_acme, event: pull_request.opened }
jobs:
  read: { runner: linux, steps: [{ run: cat README.md }] }
  own:
    runner: linux
    steps:
      - checkout: { permissions: { contents: write } }
      - run: cat README.md; ! git config --get-regexp 'extraheader|user'
  other: { runner: linux, steps: [{ checkout: { connection: github_acme, repository: acme/lib } }] }
`;
    await repository.commit({ ".shipfox/workflows/pull.yml": onPull });
    await instance.api.client.projects.sync({ projectId: project.id });
    await eventually("the workflow is known", async () =>
      (await instance.definitions(project.id)).definitions.some(({ name }) => name === "On pull"),
    );
    await repository.git("checkout", "--quiet", "-b", "proposal");
    const sha = await repository.commit({ "README.md": "proposed\n" });
    await repository.git("checkout", "--quiet", "main");
    const pull_request = {
      number: 7,
      updated_at: "2026-05-04T10:00:00Z",
      head: { sha, repo: { id: 999 } },
      base: { repo: { id: shown.id } },
      author_association: "NONE",
    };
    const opened = {
      action: "opened",
      repository: { id: shown.id, full_name: "acme/app" },
      pull_request,
      installation,
    };
    expect(await github.deliver(instance.plane.url, "pull_request", opened, "pull-1")).toBe(204);
    const { triggerEvents } = instance.api.client;
    const waiting = await eventually("the pull request waits for an approval", async () => {
      const found = await triggerEvents.list({ workspace_id: instance.workspaceId, approval: ["waiting"] });
      return found.trigger_events[0] ?? null;
    });
    const { approval } = waiting;
    expect(approval).toMatchObject({ status: "waiting", commit: sha });
    const body = { commit: approval?.commit ?? null, workflows_hash: approval?.workflows_hash ?? "" };
    await triggerEvents.approve({ eventId: waiting.id, ...body });
    const run = await instance.waitForRun(await startedRun("On pull"));
    expect(run.jobs.map(({ key, status }) => [key, status])).toEqual([
      ["read", "succeeded"],
      ["own", "succeeded"],
      ["other", "failed"],
    ]);
    for (const key of ["read", "own"])
      expect(await instance.logText(runStep(jobOf(run, key)).id)).toContain("proposed\n");
    expect(newestExecution(jobOf(run, "other")).steps[1]?.error).toMatchObject({ reason: "checkout_auth_failed" });
  });

  /** The only run of a workflow. */
  async function startedRun(workflowName: string): Promise<string> {
    return eventually(`a run of ${workflowName} is there`, async () => {
      const { runs } = await instance.api.client.runs.list({ project_id: project.id, limit: 100 });
      return runs.find((run) => run.workflow_name === workflowName)?.id ?? null;
    });
  }

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
