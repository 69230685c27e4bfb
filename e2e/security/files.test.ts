import { createHash } from "node:crypto";
import type { ClaimReply } from "@shipfox/shared/machine";
import { connectionSchema, installReplySchema } from "@shipfox/shared/api/integrations";
import { type FakeRepository, GitHubServer } from "@shipfox/shared/github-server.fixture";
import { beforeAll, describe, expect, it } from "vitest";
import { type Answer, call } from "../src/api.ts";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { HandRunner } from "../src/hand-runner.ts";
import { Instance, type ProjectHandle } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";

const WORKFLOW = `name: Build
runner: hand
triggers:
  by_hand: { source: manual, event: fire }
  proposed: { source: github_acme, event: pull_request.opened }
jobs:
  job: { checkout: false, steps: [{ run: "true" }] }
`;
const PUBLISH = `name: Publish
runner: hand
triggers:
  proposed: { source: github_acme, event: pull_request.reopened }
jobs:
  job: { checkout: false, steps: [{ run: "true", env: { TOKEN: "\${{ secrets.TOKEN }}" } }] }
`;
const CURRENT = "/runs/jobs/current";

describe("files of jobs that are not trusted alike", () => {
  const stage = useStage();
  let github: GitHubServer;
  let instance: Instance;
  let installation: { id: number };
  let project: ProjectHandle;
  let runner: HandRunner;

  beforeAll(async () => {
    github = await GitHubServer.start();
    stage.onEnd(() => github.close());
    instance = await Instance.create(stage, await ControlPlane.start(stage, { env: github.environment }));
    const app: FakeRepository = { id: 7, owner: "acme", name: "app", private: false, defaultBranch: "main" };
    installation = github.install("acme", [app]);
    const workspace = { workspace_id: instance.workspaceId };
    const { install_url } = await instance.api.post(installReplySchema, "/integrations/github/install", workspace);
    const state = new URL(install_url).searchParams.get("state") ?? "";
    const query = new URLSearchParams({ code: github.codeOf([app]), installation_id: `${installation.id}`, state });
    await instance.api.get(connectionSchema, `/integrations/github/callback/api?${query.toString()}`);
    project = await instance.project({ "build.yml": WORKFLOW, "publish.yml": PUBLISH });
    runner = await HandRunner.register(instance.plane.url, await instance.registrationToken(), ["hand"]);
  });

  const ofJob = (lease: string, method: string, path: string, body?: unknown): Promise<Answer> =>
    call(instance.plane.url, method, CURRENT + path, {
      token: lease,
      ...(body === undefined ? {} : { body }),
      ...(typeof body === "string" ? { headers: { "content-type": "application/octet-stream" } } : {}),
    });
  const announced = (name: object, content: string) => {
    const sha256 = createHash("sha256").update(content).digest("hex");
    return { ...name, size: content.length, sha256 };
  };
  /** The last answer on the way of an upload: of its completion, or the first refusal. */
  async function upload(lease: string, path: string, name: object, content: string): Promise<Answer> {
    const begun = await ofJob(lease, "POST", path, announced(name, content));
    if (begun.status !== 201) return begun;
    const { upload_id: id } = begun.body as { upload_id: string };
    await ofJob(lease, "PUT", `${path}/${id}?offset=0`, content);
    return ofJob(lease, "POST", `${path}/${id}/complete`);
  }
  const cache = async (lease: string, query: string) =>
    (await ofJob(lease, "GET", `/caches?${query}`)).body as { cache: { id: string; key: string } | null };

  /** A run of a pull request from a fork whose branch has the name of ours, once a member approved it. */
  async function forkedRun(action = "opened"): Promise<ClaimReply> {
    const pull_request = {
      number: 9,
      updated_at: "2026-05-04T10:01:00Z",
      head: { sha: "a".repeat(40), ref: "main", repo: { id: 8 } },
      base: { repo: { id: 7 }, ref: "main" },
      author_association: "NONE",
      user: { login: "mallory" },
    };
    const body = { action, installation, repository: { id: 7, full_name: "acme/app" }, pull_request };
    expect(await github.deliver(instance.plane.url, "pull_request", body, action)).toBe(204);
    const { triggerEvents } = instance.api.client;
    const event = await eventually("the pull request waits for an approval", async () => {
      const page = await triggerEvents.list({ workspace_id: instance.workspaceId, limit: 100 });
      return page.trigger_events.find((each) => each.delivery_id === action && each.approval !== null) ?? null;
    });
    const { approval } = await triggerEvents.get({ eventId: event.id });
    const approving = { commit: approval?.commit, workflows_hash: approval?.workflows_hash };
    const answer = await instance.api.call("POST", `/trigger-events/${event.id}/approve`, { body: approving });
    expect(answer.status).toBe(202);
    return runner.claim();
  }

  async function ownRun(): Promise<string> {
    await instance.fire(project, "Build");
    return (await runner.claim()).lease_token;
  }

  it(`${attack(10, "a fork's approved run writes, runs of the default branch read")}`, async () => {
    const { lease_token: fork } = await forkedRun();
    const refused = { status: 403, body: { code: "cache-read-only" } };
    for (const key of ["npm-1", "npm-1-anything"])
      expect(await upload(fork, "/caches", { key }, "poison")).toMatchObject(refused);
    const own = await ownRun();
    expect(await cache(own, "key=npm-1&restore_keys=npm")).toEqual({ cache: null });

    expect(await upload(own, "/caches", { key: "npm-1" }, "genuine")).toMatchObject({ status: 200 });
    const found = (await cache(fork, "key=npm-1")).cache;
    expect((await ofJob(fork, "GET", `/caches/${found?.id}/content`)).text).toBe("genuine");
    expect(await upload(fork, "/caches", { key: "npm-1" }, "poison")).toMatchObject(refused);
  });

  it(`${attack(11, "an approved run asks for the secrets that its workflow names")}`, async () => {
    const entries = [{ key: "TOKEN", value: "s3cret-of-the-project" }];
    const secrets = `/workspaces/${instance.workspaceId}/secrets:batch`;
    expect((await instance.api.call("POST", secrets, { body: { entries } })).status).toBe(200);
    const { step, attempt, lease_token: lease } = await runner.firstRunStep(await forkedRun("reopened"));
    const ask = () => ofJob(lease, "GET", `/steps/${step.id}/secrets?attempt=${attempt}`);
    const refused = await ask();
    expect(refused).toMatchObject({ status: 403, body: { code: "secret-withheld", details: { key: "TOKEN" } } });
    expect(refused.text).not.toContain("s3cret");
    // Nothing that a job holds changes what its project trusts.
    const change = { token: lease, body: { untrusted_secrets: true } };
    expect((await call(instance.plane.url, "PATCH", `/projects/${project.id}`, change)).status).toBe(401);
    expect((await ask()).status).toBe(403);

    await instance.api.client.projects.update({ projectId: project.id, untrusted_secrets: true });
    expect((await ask()).text).toContain("s3cret-of-the-project");
  });

  it(`${attack(10, "what is stored is stored again under its name, and taken from another run")}`, async () => {
    const [own, other] = [await ownRun(), await ownRun()];
    expect(await upload(own, "/caches", { key: "go-1" }, "genuine")).toMatchObject({ status: 200 });
    const exists = (code: string) => ({ status: 409, body: { code } });
    expect(await upload(other, "/caches", { key: "go-1" }, "poison")).toMatchObject(exists("cache-exists"));
    const stored = await upload(own, "/artifacts", { name: "dist" }, "genuine");
    expect(stored).toMatchObject({ status: 200 });
    expect(await upload(own, "/artifacts", { name: "dist" }, "poison")).toMatchObject(exists("artifact-exists"));

    const { id } = stored.body as { id: string };
    for (const [method, path] of [
      ["PUT", `/artifacts/${id}?offset=0`],
      ["POST", `/artifacts/${id}/complete`],
      ["GET", `/artifacts/${id}/content`],
      ["GET", "/artifacts?job=job&name=dist"],
    ] as const) {
      const answer = await ofJob(other, method, path, method === "PUT" ? "poison" : undefined);
      expect([path, answer.status]).toEqual([path, 404]);
    }
    const download = await instance.api.client.artifacts.download({ artifactId: id });
    expect(await download.text()).toBe("genuine");
  });
});
