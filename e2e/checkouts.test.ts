import { basename, join } from "node:path";
import type { Connection } from "@shipfox/shared/api/integrations";
import type { JobExecution, RunDetail } from "@shipfox/shared/api/runs";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { GitServer } from "./src/git-server.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runStep, workflow } from "./src/instance.ts";
import { Repository } from "./src/repository.ts";
import { useStage } from "./src/stage.ts";

const TOKEN = "git-token-of-the-library";
const LIB = "connection: forge, repository: acme/lib";

/** Jobs may reach the host's own addresses only where they are the host. */
const PUSH = "git push --quiet origin HEAD:refs/heads/from-job 2>&1";

const two = (sandbox: "docker" | "host") =>
  workflow(
    "Two repositories",
    `  sync:
    outputs: { lib: "\${{ steps.lib.outputs.checkout.commit }}", folder: "\${{ steps.lib.outputs.checkout.path }}" }
    steps:
      - key: app
        checkout: { ref: "\${{ inputs.ref }}", fetch-depth: 0, path: app }
      - key: lib
        checkout: { ${LIB}, permissions: { contents: write } }
      - run: |
          echo "$(git -C app log --format=%s | wc -l) commits of $(git -C app rev-parse HEAD)"
          cat lib/lib.txt; git -C lib log --format=%s; git -C lib status --porcelain
          cd lib; echo more > more.txt; git add more.txt; git commit --quiet -m 'From a job'
          ${sandbox === "host" ? PUSH : "git config --get-regexp extraheader > /dev/null && echo kept"}
`,
  );

const FAULTS = workflow(
  "Faults",
  `  ref: { steps: [{ checkout: { ${LIB}, ref: no-such-branch } }] }
  credential: { steps: [{ checkout: { connection: wrong, repository: acme/lib } }] }
  nowhere: { steps: [{ checkout: { connection: forge, repository: acme/nothing } }] }
  project: { steps: [{ checkout: { project: nobody } }] }
  connection: { steps: [{ checkout: { connection: nobody, repository: a/b } }] }
  upwards: { steps: [{ checkout: { path: ../lib } }] }
  git: { steps: [{ checkout: { path: lib/.git } }] }
  value: { steps: [{ checkout: { ref: "\${{ inputs.nothing }}" } }] }
  occupied: { checkout: false, steps: [{ run: mkdir lib; touch lib/mine }, { checkout: { ${LIB} , path: lib } }] }
  twice: { steps: [{ checkout: { ${LIB}, path: lib } }, { checkout: { ${LIB}, path: lib, ref: second } }] }
  root: { steps: [{ run: 'true' }, { checkout: { ${LIB}, path: . } }] }
  link: { steps: [{ run: mkdir real; ln -s real link }, { checkout: { ${LIB}, path: link/lib } }] }
`,
);

const AGAIN = workflow(
  "Again",
  `  keep:
    steps:
      - { key: get, checkout: { ${LIB}, path: deep/down/lib } }
      - run: echo mine > deep/down/lib/mine
      - checkout: { ${LIB}, path: ./deep/down/lib/ }
      - run: cat deep/down/lib/mine; touch deep/down/beside
  replace:
    steps:
      - checkout: { ${LIB} }
      - run: echo mine > mine; mkdir -p a; ln -s /etc b
      - checkout: { ${LIB}, ref: second, force: true, path: . }
      - checkout: { ${LIB}, force: true, path: b }
      - run: cat lib.txt; git status --porcelain; ls -A; cat b/lib.txt; test ! -e mine
  restart:
    checkout: false
    steps:
      - key: get
        checkout: { ${LIB}, path: lib }
      - run: echo "attempt \${{ step.attempt }}"; rm -rf lib; test "\${{ step.attempt }}" = 2
        gate: { success: step.exit_code == 0, on_failure: { restart_from: get } }
      - run: test ! -e lib
  files:
    cache: { key: deps, hash_files: [lib.txt], paths: [cached] }
    steps:
      - checkout: { ${LIB} }
      - run: mkdir -p cached; cat lib.txt
`,
);

describe.each([
  { sandbox: "docker" as const, tag: "[docker]" },
  { sandbox: "host" as const, tag: "[host]" },
])("$tag checkout steps in the $sandbox sandbox", ({ sandbox }) => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;
  let forge: Connection;
  let bare: string;
  let head: string;

  beforeAll(async () => {
    const env = { SHIPFOX_GIT_ALLOW_HTTP: "true", SHIPFOX_GIT_ALLOW_PRIVATE: "true" };
    const plane = await ControlPlane.start(stage, { env });
    instance = await Instance.create(stage, plane);
    const library = await Repository.create(stage, { "lib.txt": "first\n" });
    await library.git("branch", "second");
    head = await library.commit({ "lib.txt": "from the library\n" });
    const group = await stage.folder("group");
    bare = join(group, "lib.git");
    await library.git("clone", "--quiet", "--bare", library.folder, bare);
    await library.git("--git-dir", bare, "config", "http.receivepack", "true");
    const server = await GitServer.start(stage, library, TOKEN);
    const connect = (name: string, token: string) =>
      instance.api.client.integrations.connectGit({
        workspace_id: instance.workspaceId,
        name,
        base_url: server.origin,
        username: server.username,
        token,
      });
    forge = await connect("Forge", TOKEN);
    await connect("Wrong", "another-token");
    const named = (text: string) => text.replaceAll("acme/", `${basename(group)}/`);
    const workflows = { "two.yml": two(sandbox), "faults.yml": FAULTS, "again.yml": AGAIN };
    project = await instance.project(
      Object.fromEntries(Object.entries(workflows).map(([name, text]) => [name, named(text)])),
    );
    await instance.runner({ sandbox, env: { SHIPFOX_GIT_ALLOW_HTTP: "true" } });
  });

  const execution = (run: RunDetail, job: string): JobExecution => newestExecution(jobOf(run, job));
  /** The reasons of the steps of a job that failed. */
  const reasons = (run: RunDetail, job: string) =>
    execution(run, job).steps.flatMap(({ error }) => (error === null ? [] : [error.reason]));
  /** What the steps of a job printed, and its checkouts said. */
  const printed = async (run: RunDetail, job: string) =>
    (await Promise.all(execution(run, job).steps.map(({ id }) => instance.logText(id)))).join("");

  it("work with two repositories in one job, all of the history of one, and commit to the other", async () => {
    const before = await project.repository.commit({ "another.txt": "1\n" });
    const runId = await instance.fire(project, "Two repositories", { ref: "main" });
    const run = await instance.waitForRun(runId);
    expect([run.status, reasons(run, "sync")]).toEqual(["succeeded", []]);
    const [setup, app, lib] = execution(run, "sync").steps;
    expect(setup?.outputs).toBeNull();
    expect(app?.outputs?.["checkout"]).toMatchObject({
      repository: project.repository.url,
      ref: "main",
      commit: before,
    });
    expect(lib?.outputs?.["checkout"]).toMatchObject({ ref: "HEAD", commit: head });
    expect(jobOf(run, "sync").outputs).toMatchObject({ lib: head, folder: expect.stringMatching(/\/lib$/) });
    const log = await instance.logText(runStep(jobOf(run, "sync")).id);
    expect(log).toContain(`2 commits of ${before}\n`);
    expect(log).toContain("from the library\nChange\n");
    expect(await printed(run, "sync")).not.toContain(TOKEN);
    if (sandbox === "docker") return expect(log).toContain("kept\n");
    const { stdout } = await execa("git", ["--git-dir", bare, "log", "-1", "--format=%an <%ae> %s", "from-job"]);
    expect(stdout).toBe("Forge <noreply@127.0.0.1> From a job");
  });

  it("fail with the reason, and leave what is there alone", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Faults", {}));
    expect(Object.fromEntries(run.jobs.map(({ key }) => [key, reasons(run, key)]))).toEqual({
      ref: ["checkout_failed"],
      credential: ["checkout_auth_failed"],
      nowhere: ["checkout_failed"],
      project: ["checkout_failed"],
      connection: ["checkout_failed"],
      upwards: ["checkout_path_invalid"],
      git: ["checkout_path_invalid"],
      value: ["config_unresolvable"],
      occupied: ["checkout_destination_occupied"],
      twice: ["checkout_destination_occupied"],
      root: ["checkout_destination_occupied"],
      link: ["checkout_path_invalid"],
    });
    expect(await printed(run, "project")).toContain('the workspace has no project "nobody"');
  });

  it("are done once, unless the job removed what they made or forces them", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Again", {}));
    expect(run.jobs.map(({ key, status }) => [key, status])).toEqual([
      ["keep", "succeeded"],
      ["replace", "succeeded"],
      ["restart", "succeeded"],
      ["files", "succeeded"],
    ]);
    expect(await printed(run, "keep")).toMatch(/It is there already, at [0-9a-f]{40}\.\n[\s\S]*mine\n/);
    const log = (await printed(run, "replace")).split("\n");
    expect(log).toContain("first");
    expect(log).toContain("from the library");
    expect(execution(run, "restart").steps.map(({ current_attempt }) => current_attempt)).toEqual([1, 2, 2, 2]);
    expect(await printed(run, "files")).toMatch(/Cache "deps-[0-9a-f]{64}": none found/);
  });

  it("of a connection that somebody disabled say so", async () => {
    const path = `/integration-connections/${forge.id}`;
    await instance.api.call("PATCH", path, { body: { lifecycle_status: "disabled" } });
    const run = await instance.waitForRun(await instance.fire(project, "Two repositories", { ref: "main" }));
    expect(run.status).toBe("failed");
    expect(execution(run, "sync").steps[2]?.error).toMatchObject({
      reason: "checkout_failed",
      category: "setup",
      message: expect.stringContaining("the connection forge is disabled"),
    });
  });
});
