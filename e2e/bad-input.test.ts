import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { validateDefinitionReplySchema } from "@shipfox/shared/api/definitions";
import { projectsReplySchema } from "@shipfox/shared/api/projects";
import { type Waiting, runsReplySchema } from "@shipfox/shared/api/runs";
import { membershipsReplySchema } from "@shipfox/shared/api/workspaces";
import { beforeAll, describe, expect, it } from "vitest";
import { call, refusalOf } from "./src/api.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, workflow } from "./src/instance.ts";
import { claimByHand, registerByHand } from "./src/machine.ts";
import { Runner } from "./src/runner.ts";
import { useStage } from "./src/stage.ts";

const GOOD = workflow("Good", "  job:\n    steps:\n      - run: echo good; sleep 2\n");
const GOOD_ANYWHERE = workflow("Elsewhere", "  job:\n    runner: by-hand\n    steps:\n      - run: 'true'\n");
const BAD = "name: Bad\nrunner: linux\njobs:\n  job:\n    stepz:\n      - run: 'true'\n";
const NO_SUCH_ID = "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11";
const INVALID = new URL("fixtures/workflows/invalid/", import.meta.url);

const stage = useStage();
let plane: ControlPlane;
let instance: Instance;
let project: ProjectHandle;

beforeAll(async () => {
  plane = await ControlPlane.start(stage);
  instance = await Instance.create(stage, plane);
  project = await instance.project({ "good.yml": GOOD, "elsewhere.yml": GOOD_ANYWHERE });
});

const runCount = async () => {
  const page = await instance.api.get(runsReplySchema, `/workflows/runs?project_id=${project.id}`);
  return page.filtered_total_count;
};

describe("a wrong workflow", () => {
  it("is refused by validate with path, line, column and what to write", async () => {
    const reply = await instance.api.post(validateDefinitionReplySchema, "/definitions/validate", { yaml: BAD });
    if (reply.valid) throw new Error("the workflow is wrong");
    expect(reply.errors).toContainEqual(
      expect.objectContaining({ code: "unknown-key", path: "jobs.job", line: 5, column: 5, suggestion: "steps" }),
    );
  });

  it.each(readdirSync(INVALID))("is refused by validate: %s", async (file) => {
    const yaml = await readFile(new URL(file, INVALID), "utf8");
    const reply = await instance.api.post(validateDefinitionReplySchema, "/definitions/validate", { yaml });
    if (reply.valid) throw new Error("the workflow is wrong");
    for (const { line, column, message } of reply.errors) {
      expect(line).toBeGreaterThan(0);
      expect(column).toBeGreaterThan(0);
      expect(message).not.toBe("");
    }
  });

  it("is refused when it is saved, and nothing is saved", async () => {
    const before = await instance.definitions(project.id);
    const refusal = await instance.api.refused("POST", "/definitions", { body: { project_id: project.id, yaml: BAD } });
    expect(refusal).toMatchObject({ status: 400, code: "invalid-workflow-definition" });
    expect(JSON.stringify(refusal.details)).toContain("no key `stepz`");
    expect((await instance.definitions(project.id)).definitions).toEqual(before.definitions);
  });

  it("marks the file in the sync with line and column, and takes the good ones over", async () => {
    const other = await instance.project({ "good.yml": GOOD });
    await other.repository.commit({ ".shipfox/workflows/bad.yml": BAD, ".shipfox/workflows/new.yml": GOOD });
    await instance.api.call("POST", `/projects/${other.id}/sync`);
    const sync = await instance.syncOver(other.id);
    expect(sync).toMatchObject({ status: "failed", last_error_code: "invalid-definition" });
    expect(sync.last_error_message).toMatch(/bad\.yml.*5/s);
    expect((await instance.definitions(other.id)).definitions.map(({ name }) => name)).toEqual(["Good", "Good"]);
    expect(sync.files.map(({ config_path, status }) => `${config_path} ${status}`)).toEqual([
      ".shipfox/workflows/bad.yml invalid",
      ".shipfox/workflows/good.yml active",
      ".shipfox/workflows/new.yml active",
    ]);
  });

  it("is told apart from no workflow at all", async () => {
    const empty = await instance.project({});
    expect(await instance.syncOver(empty.id)).toMatchObject({ status: "failed", last_error_code: "no-workflow-files" });
  });

  it("cannot be fired under an id that does not exist, or with a body that has other keys", async () => {
    const before = await runCount();
    const path = (id: string) => `/workflow-definitions/${id}/fire-manual`;
    expect(await instance.api.refused("POST", path(NO_SUCH_ID), { body: {} })).toMatchObject({
      status: 404,
      code: "manual-trigger-not-found",
    });
    const [definition] = (await instance.definitions(project.id)).definitions;
    expect(
      await instance.api.refused("POST", path(definition?.id ?? ""), { body: { input: { typo: 1 } } }),
    ).toMatchObject({ status: 400, code: "validation-error" });
    expect(await runCount()).toBe(before);
  });
});

describe("a job that nobody takes", () => {
  it("says why, from no runner at all to a label that is missing, and runs when the reason is gone", async () => {
    const waiting = await Instance.create(stage, await ControlPlane.start(stage));
    const jobs = `  gpu:
    runner: [linux, gpu]
    steps:
      - run: 'true'
  after:
    needs: gpu
    steps:
      - run: 'true'
`;
    const own = await waiting.project({ "gpu.yml": workflow("GPU", jobs), "good.yml": GOOD });
    const runId = await waiting.fire(own, "GPU");
    const until = async (id: string, reason: Waiting["reason"]) => {
      const run = await waiting.waitForRun(id, (seen) => seen.jobs[0]?.waiting?.reason === reason, { what: reason });
      return run.jobs[0]?.waiting;
    };

    expect((await until(runId, "no_runner_registered"))?.message).toContain("shipfox runners add");
    expect(jobOf(await waiting.run(runId), "after").waiting).toMatchObject({
      reason: "needs",
      message: "waits for gpu",
    });

    const linux = await waiting.runner({ name: "linux-only" });
    expect(await until(runId, "labels_unmatched")).toMatchObject({
      labels: ["gpu", "linux"],
      missing_labels: ["gpu"],
      runners: { matching: 0, online: 1, busy: 0 },
    });
    const listed = await waiting.api.get(runsReplySchema, `/workflows/runs?project_id=${own.id}`);
    expect(listed.runs[0]?.jobs[0]?.waiting).toMatchObject({ reason: "labels_unmatched", missing_labels: ["gpu"] });

    const first = await waiting.fire(own, "Good");
    await waiting.stepPrinted(first, "job", "good");
    const second = await waiting.fire(own, "Good");
    expect(await until(second, "all_runners_busy")).toMatchObject({ runners: { matching: 1, online: 1, busy: 1 } });
    expect((await waiting.waitForRun(second)).status).toBe("succeeded");

    await linux.child.stop();
    await until(runId, "no_runner_online");
    await waiting.runner({ name: "with-gpu", labels: "linux,gpu" });
    expect((await waiting.waitForRun(runId)).status).toBe("succeeded");
  });
});

describe("a repository that is not there", () => {
  const projects = async () => {
    return (await instance.api.get(projectsReplySchema, `/projects?workspace_id=${instance.workspaceId}`)).projects;
  };

  it("is refused when a project is made, and no project is made", async () => {
    const before = await projects();
    const create = (url: string) =>
      instance.api.refused("POST", "/projects", {
        body: {
          workspace_id: instance.workspaceId,
          name: "Nowhere",
          source: { connection_id: instance.connectionId, external_repository_id: `git:${url}` },
        },
      });
    const missing = await create("file:///nowhere/at/all");
    expect(missing).toMatchObject({ status: 422, code: "repository-not-found" });
    expect(missing.message).toContain("/nowhere/at/all");
    expect(await create("ext::sh -c id")).toMatchObject({ status: 400, code: "invalid-repository-url" });
    expect(await create("--upload-pack=id")).toMatchObject({ status: 400, code: "invalid-repository-url" });
    expect(await create("http://127.0.0.1:1/x.git")).toMatchObject({ status: 400, code: "invalid-repository-url" });
    expect(await projects()).toEqual(before);
  });

  it("fails the set-up step of a job with the reason when it went away later", async () => {
    const gone = await instance.project({ "good.yml": GOOD });
    await gone.repository.remove();
    const runner = await instance.runner({ name: "checks-out" });
    const run = await instance.waitForRun(await instance.fire(gone, "Good"));
    expect(run.status).toBe("failed");
    const [setup, step] = newestExecution(jobOf(run, "job")).steps;
    expect(setup).toMatchObject({ type: "setup", status: "failed", error: { category: "setup" } });
    expect(setup?.error?.reason).toMatch(/^checkout_/);
    expect(setup?.error?.message).toContain(gone.repository.folder);
    expect(step).toMatchObject({ type: "run", status: "skipped" });
    expect(await instance.logText(setup?.id ?? "")).toContain(setup?.error?.message);
    await instance.api.call("POST", `/projects/${gone.id}/sync`);
    expect(await instance.syncOver(gone.id)).toMatchObject({
      status: "failed",
      last_error_code: "provider-repository-not-found",
    });
    await runner.child.stop();
  });
});

describe("a wrong token", () => {
  it("is refused everywhere: none, nonsense, and each kind in the place of every other", async () => {
    const registration = await instance.registrationToken();
    const runner = await registerByHand(plane.url, registration, ["by-hand"]);
    const runId = await instance.fire(project, "Elsewhere");
    const claim = await claimByHand(plane.url, runner.session_token);
    const tokens = {
      none: null,
      nonsense: "nonsense",
      user: instance.api.token,
      registration,
      credential: runner.runner_token ?? null,
      session: runner.session_token,
      lease: claim.lease_token,
    };
    const routes: [method: string, path: string, kinds: (keyof typeof tokens)[], body?: unknown][] = [
      ["GET", "/workspaces", ["user"]],
      ["GET", `/workflows/runs/${runId}`, ["user"]],
      ["POST", "/runners/register", ["registration", "credential"], { labels: ["by-hand"] }],
      ["POST", "/runners/jobs/request", ["session"]],
      ["POST", `/runners/jobs/${claim.job_id}/heartbeat`, ["lease"]],
      ["POST", "/runs/jobs/current/steps/next", ["lease"]],
    ];
    for (const [method, path, kinds, body] of routes) {
      for (const [kind, token] of Object.entries(tokens)) {
        if (kinds.includes(kind as keyof typeof tokens)) continue;
        const answer = await call(plane.url, method, path, { token, body });
        expect([path, kind, refusalOf(answer)]).toMatchObject([path, kind, { status: 401, code: "unauthorized" }]);
      }
    }
    // Nothing of that has touched the job.
    expect((await call(plane.url, "POST", "/runs/jobs/current/steps/next", { token: claim.lease_token })).status).toBe(
      200,
    );
    await call(plane.url, "DELETE", "/runners/session", { token: runner.session_token });
    await instance.api.call("POST", `/workflows/runs/${runId}/cancel`);
  });

  it("hides what belongs to others", async () => {
    const stranger = await ControlPlane.start(stage, { env: { SHIPFOX_ALLOW_SIGNUP: "true" } });
    const owner = await Instance.create(stage, stranger);
    const own = await owner.project({ "good.yml": GOOD });
    const runId = await owner.fire(own, "Good");
    const signup = await call(stranger.url, "POST", "/auth/signup", {
      body: { email: "eve@example.com", password: "a password of eve", name: "Eve" },
    });
    const { token } = signup.body as { token: string };
    for (const [path, code] of [
      [`/workflows/runs/${runId}`, "not-found"],
      [`/projects/${own.id}`, "project-not-found"],
    ] as const) {
      expect(refusalOf(await call(stranger.url, "GET", path, { token }))).toMatchObject({ status: 404, code });
    }
    const runners = `/workspaces/${owner.workspaceId}/runners`;
    expect(refusalOf(await call(stranger.url, "GET", runners, { token }))).toMatchObject({
      status: 403,
      code: "forbidden",
    });
  });

  it("ends a runner in words: an unknown registration token, a used-up one, none at all", async () => {
    const launch = (token: string) => Runner.launch(stage, { apiUrl: plane.url, token, name: "unwelcome" });
    const unknown = await launch("sf_mrt_0123456789012345678901234567890123456789012");
    expect((await unknown.child.exited).code).not.toBe(0);
    expect(unknown.child.output).toMatch(/refused the registration token: .*shipfox runners add/s);

    const once = await instance.registrationToken({ max_uses: 1 });
    await registerByHand(plane.url, once, ["by-hand"]);
    const second = await launch(once);
    expect((await second.child.exited).code).not.toBe(0);
    expect(second.child.output).toMatch(/refused the registration token: .*shipfox runners add/s);

    const none = await launch("");
    expect((await none.child.exited).code).not.toBe(0);
    expect(none.child.output).toMatch(/SHIPFOX_RUNNER_REGISTRATION_TOKEN/);
  });

  it("does not sign anybody in, and says the same for an unknown address and a wrong password", async () => {
    const login = (email: string) =>
      call(plane.url, "POST", "/auth/login", { body: { email, password: "wrong password!" } });
    const known = refusalOf(await login("ada@example.com"));
    expect(known).toMatchObject({ status: 401, code: "invalid-credentials" });
    expect(refusalOf(await login("nobody@example.com"))).toEqual(known);
  });

  it("keeps a runner trying, with a line in its log, while there is no control plane", async () => {
    const nobody = "http://127.0.0.1:9";
    const runner = await Runner.launch(stage, { apiUrl: nobody, token: await instance.registrationToken() });
    await runner.child.printed(/not registered yet; trying again/);
    expect(runner.child.output).toContain(nobody);
    expect((await runner.child.stop()).signal).toBeNull();
  });
});

describe("a wrong body", () => {
  const refused = (path: string, body: string, headers: Record<string, string> = {}) =>
    instance.api.refused("POST", path, { body, headers });

  it.each([
    { what: "no JSON", body: "{", status: 400, code: "invalid-json-body" },
    { what: "nothing", body: "", status: 400, code: "empty-json-body" },
    { what: "another type", body: "{}", type: "text/plain", status: 415, code: "invalid-media-type" },
    { what: "a list", body: "[]", status: 400, code: "validation-error" },
    { what: "a NUL character", body: '{"name":"a\\u0000b"}', status: 400, code: "validation-error" },
    { what: "too much", body: `{"name":"${"x".repeat(1024 * 1024)}"}`, status: 413, code: "body-too-large" },
  ])("of $what is refused, and no workspace is made", async ({ body, type, status, code }) => {
    const before = await instance.api.get(membershipsReplySchema, "/workspaces");
    const headers = { "content-type": type ?? "application/json" };
    expect(await refused("/workspaces", body, headers)).toMatchObject({ status, code });
    expect(await instance.api.get(membershipsReplySchema, "/workspaces")).toEqual(before);
  });

  it("is refused by the routes in front of Express as well", async () => {
    const [definition] = (await instance.definitions(project.id)).definitions;
    const path = `/workflow-definitions/${definition?.id}/fire-manual`;
    expect(await refused(path, "{")).toMatchObject({ status: 400, code: "invalid-json-body" });
    expect(await refused(path, `{"inputs":{"x":"${"x".repeat(1024 * 1024)}"}}`)).toMatchObject({
      status: 413,
      code: "body-too-large",
    });
  });

  it("goes with ids that are none, cursors that were never given, and paths that do not exist", async () => {
    const { api } = instance;
    expect(await api.refused("GET", "/workflows/runs/7")).toMatchObject({ status: 400, code: "validation-error" });
    expect(await api.refused("GET", `/workflows/runs/${NO_SUCH_ID}`)).toMatchObject({ status: 404, code: "not-found" });
    expect(await api.refused("GET", `/workflows/runs?project_id=${project.id}&cursor=never`)).toMatchObject({
      status: 400,
      code: "invalid-cursor",
    });
    expect(await api.refused("GET", `/steps/${NO_SUCH_ID}/attempts/1/logs`)).toMatchObject({ code: "not-found" });
    expect(await api.refused("GET", "/nothing/here")).toMatchObject({ status: 404, code: "not-found" });
    expect(await api.refused("PUT", "/workspaces")).toMatchObject({ status: 404, code: "not-found" });
  });
});
