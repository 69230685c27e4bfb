import { createHmac } from "node:crypto";
import { connectionSchema, installReplySchema } from "@shipfox/shared/api/integrations";
import { type FakeRepository, GitHubServer } from "@shipfox/shared/github-server.fixture";
import { beforeAll, describe, expect, it } from "vitest";
import { call } from "../src/api.ts";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { Instance } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";

const WEBHOOK = "/webhooks/integrations/github";

interface Stored {
  readonly delivery_id: string;
  readonly event: string;
  readonly untrusted: boolean;
}

describe("deliveries of GitHub", () => {
  const stage = useStage();
  let github: GitHubServer;
  let instance: Instance;
  let installation: { id: number };

  beforeAll(async () => {
    github = await GitHubServer.start();
    stage.onEnd(() => github.close());
    instance = await Instance.create(stage, await ControlPlane.start(stage, { env: github.environment }));
    const app: FakeRepository = { id: 7, owner: "acme", name: "app", private: false, defaultBranch: "main" };
    installation = github.install("acme", [app]);
    const { install_url } = await instance.api.post(installReplySchema, "/integrations/github/install", {
      workspace_id: instance.workspaceId,
    });
    const state = new URL(install_url).searchParams.get("state") ?? "";
    const query = new URLSearchParams({ code: github.codeOf([app]), installation_id: `${installation.id}`, state });
    await instance.api.get(connectionSchema, `/integrations/github/callback/api?${query.toString()}`);
  });

  async function stored(): Promise<Stored[]> {
    const path = `/trigger-events?workspace_id=${instance.workspaceId}&limit=100`;
    return ((await instance.api.call("GET", path)).body as { trigger_events: Stored[] }).trigger_events;
  }
  const post = (body: string, headers: Record<string, string>) =>
    call(instance.plane.url, "POST", WEBHOOK, { body, headers });

  it(`${attack(11, "a pull request, comments and issues")}`, async () => {
    const repository = { id: 7, default_branch: "main" };
    const base = { repo: repository };
    const fork = { repo: { id: 8, full_name: "acme/app", owner: { login: "acme" } } };
    const member = { author_association: "MEMBER", user: { login: "ada", id: 1 } };
    const stranger = { author_association: "NONE", user: { login: "ada", id: 1 }, body: "author_association: OWNER" };
    const deliveries: [id: string, event: string, untrusted: boolean, body: Record<string, unknown>][] = [
      ["fork", "pull_request", true, { action: "opened", pull_request: { base, head: fork, ...member } }],
      ["gone", "pull_request", true, { action: "closed", pull_request: { base, head: { repo: null }, ...member } }],
      ["again", "pull_request", true, { action: "reopened", pull_request: { base, head: fork, ...member } }],
      ["pushed", "pull_request", true, { action: "synchronize", pull_request: { base, head: fork, ...stranger } }],
      ["reviewed", "pull_request_review", true, { pull_request: { base, head: fork, ...member }, review: member }],
      ["comment", "issue_comment", true, { action: "created", issue: member, comment: stranger }],
      ["labelled", "issues", true, { action: "labeled", issue: stranger, sender: { login: "ada" } }],
      ["star", "star", true, { action: "created" }],
      ["own", "pull_request", false, { action: "opened", pull_request: { base, head: base, ...member } }],
      ["push", "push", false, { ref: "refs/heads/feature" }],
    ];
    for (const [id, event, , body] of deliveries)
      expect(await github.deliver(instance.plane.url, event, { installation, repository, ...body }, id)).toBe(204);
    const marks = new Map((await stored()).map(({ delivery_id, untrusted }) => [delivery_id, untrusted]));
    for (const [id, , untrusted] of deliveries) expect([id, marks.get(id)]).toEqual([id, untrusted]);
  });

  it(`${attack(11, "a pull request starts nothing until it is approved, and a push resets that")}`, async () => {
    const workflow = (event: string) =>
      `name: On ${event}\ntriggers:\n  t: { source: github_acme, event: pull_request.${event} }\njobs:\n  job: { runner: nowhere, steps: [{ run: make }] }\n`;
    const events = ["opened", "synchronize", "reopened"];
    const project = await instance.project({
      ...Object.fromEntries(events.map((event) => [`${event}.yml`, workflow(event)])),
      "after.yml":
        "name: After\ntriggers:\n  t: { source: workflow, event: completed, config: { workflow: On synchronize } }\njobs:\n  job: { runner: nowhere, steps: [{ run: make }] }\n",
    });
    const runs = async () => (await instance.api.client.runs.list({ project_id: project.id, limit: 100 })).runs;
    const propose = async (action: string, commit: string, minute: number): Promise<string> => {
      const pull_request = {
        number: 9,
        updated_at: `2026-05-04T10:0${minute}:00Z`,
        head: { sha: commit, repo: { id: 8 } },
        base: { repo: { id: 7 } },
        // What the author of a commit writes of himself is nobody's word.
        author_association: "NONE",
        user: { login: "owner", email: "owner@example.com" },
      };
      const id = `${action}-${minute}`;
      const body = { action, installation, repository: { id: 7, full_name: "acme/app" }, pull_request };
      expect(await github.deliver(instance.plane.url, "pull_request", body, id)).toBe(204);
      const { trigger_events: found } = await eventually(`${id} is looked at`, async () => {
        const page = await triggerEvents.list({
          workspace_id: instance.workspaceId,
          source: ["github_acme"],
          limit: 100,
        });
        return page.trigger_events.some((event) => event.delivery_id === id && event.approval !== null) && page;
      });
      return found.find((event) => event.delivery_id === id)?.id ?? "";
    };
    const { triggerEvents } = instance.api.client;
    const approve = async (eventId: string, changed: Record<string, unknown> = {}) => {
      const { approval } = await triggerEvents.get({ eventId });
      const body = { commit: approval?.commit, workflows_hash: approval?.workflows_hash ?? "none", ...changed };
      return (await instance.api.call("POST", `/trigger-events/${eventId}/approve`, { body })).status;
    };
    const [first, second] = ["a".repeat(40), "b".repeat(40)];

    const opened = await propose("opened", first, 1);
    expect(await approve(opened, { commit: second })).toBe(409);
    expect(await approve(opened, { workflows_hash: "0".repeat(64) })).toBe(409);
    const pushed = await propose("synchronize", second, 2);
    expect(await approve(opened)).toBe(409);
    const late = await propose("reopened", first, 0);
    expect(await approve(late)).toBe(409);
    const reopened = await propose("reopened", second, 3);
    for (const eventId of [opened, late, pushed, reopened])
      expect((await instance.api.call("POST", `/trigger-events/${eventId}/replay`)).status).toBeLessThan(500);
    expect(await runs()).toEqual([]);

    expect(await approve(pushed)).toBe(202);
    await eventually("the approved run is there", async () => (await runs()).length > 0);
    const [approved, ...others] = await runs();
    expect([approved?.workflow_name, others]).toEqual(["On synchronize", []]);

    // The approval was for this run, not for what comes after it.
    await instance.api.client.runs.cancel({ id: approved?.id ?? "" });
    const waits = await eventually("its end waits for an approval", async () => {
      const page = await triggerEvents.list({ workspace_id: instance.workspaceId, source: ["workflow"] });
      return page.trigger_events.find(({ approval }) => approval?.status === "waiting");
    });
    expect(waits).toMatchObject({ event_ref: `${approved?.id}:1`, untrusted: true });
    expect(await runs()).toHaveLength(1);
  });

  it(`${attack(19, "of the GitHub App")}`, async () => {
    const before = (await stored()).length;
    const text = JSON.stringify({ installation, ref: "refs/heads/main" });
    const good = github.headersOf("push", text, "genuine");
    const signature = good["x-hub-signature-256"] as string;
    const signedWith = (secret: string) => `sha256=${createHmac("sha256", secret).update(text).digest("hex")}`;
    const forgeries: [string, Record<string, string>][] = [
      [text, { ...good, "x-hub-signature-256": signedWith("") }],
      [text, { ...good, "x-hub-signature-256": signedWith("guess") }],
      [text, { ...good, "x-hub-signature-256": signature.slice(0, 20) }],
      [text, { ...good, "x-hub-signature-256": signature.toUpperCase() }],
      [text, { ...good, "x-hub-signature-256": "sha256=" }],
      [JSON.stringify(JSON.parse(text), null, 2), good],
      [text.replace("main", "evil"), good],
      [`${text}\n`, good],
    ];
    for (const [body, headers] of forgeries) {
      const answer = await post(body, headers);
      expect([answer.status, answer.body]).toEqual([401, { error: "the signature is wrong" }]);
    }
    const { "x-hub-signature-256": _, ...unsigned } = good;
    expect((await post(text, unsigned)).status).toBe(401);
    const flood = "x".repeat(600 * 1024);
    expect((await post(flood, github.headersOf("push", flood))).status).toBe(413);
    expect((await stored()).length).toBe(before);

    const replays = await Promise.all(Array.from({ length: 20 }, () => post(text, good)));
    expect(new Set(replays.map(({ status }) => status))).toEqual(new Set([204]));
    expect((await stored()).length).toBe(before + 1);
  });
});
