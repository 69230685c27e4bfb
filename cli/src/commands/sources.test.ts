import { webhookDeliverySchema, webhookSchema } from "@shipfox/shared/api/webhooks";
import { newId } from "@shipfox/shared/ids";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connection, definition, ids, membership, project } from "../testing/fixtures.ts";
import { CliHome } from "../testing/run-cli.ts";

const AT = "2026-07-06T10:00:00.000Z";

let server: StandInServer;
let home: CliHome;
beforeEach(async () => {
  server = await StandInServer.start();
  home = await CliHome.create();
  await home.signIn(server.url);
  server.on("GET /workspaces", { body: { memberships: [membership()] } });
});
afterEach(async () => {
  await home[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

describe("workflows", () => {
  it("are those of the workspace, or of one project", async () => {
    server.on("GET /projects", { body: { projects: [project()], next_cursor: null } });
    server.on("GET /definitions", { body: { definitions: [definition()], sync: null, next_cursor: "more" } });
    const listed = await home.run(["workflows", "list", "--limit", "1"]);
    expect(listed.stdout).toMatch(/^WORKFLOW +FILE +BY HAND +REF +READ +ID\n/);
    expect(listed.stdout).toContain(".shipfox/workflows/ci.yml");
    expect(listed.stderr).toContain("There are more");
    const json = await home.run(["workflows", "list", "-p", "shop", "-n", "1", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ definitions: [{ id: ids.definition }], next_cursor: "more" });
    expect(
      server.seen("GET /definitions").map(({ query }) => [query.get("workspace_id"), query.get("project_id")]),
    ).toEqual([
      [ids.workspace, null],
      [null, ids.project],
    ]);
  });
});

describe("a project", () => {
  it("is changed by what is given, and says who gets its secrets", async () => {
    server.on("GET /projects", { body: { projects: [project()], next_cursor: null } });
    server.on("PATCH /projects/*", { body: project({ untrusted_secrets: true }) });
    const given = await home.run(["projects", "update", "shop", "--untrusted-secrets"]);
    expect(given).toMatchObject({ code: 0, stdout: expect.stringContaining("strangers' code get the secrets") });
    await home.run(["projects", "update", "shop", "--no-untrusted-secrets", "--name", "Store"]);
    expect(server.seen("PATCH /projects/*").map(({ body }) => body)).toEqual([
      { untrusted_secrets: true },
      { name: "Store", untrusted_secrets: false },
    ]);
    expect(await home.run(["projects", "update", "shop"])).toMatchObject({ code: 64 });
  });
});

describe("connections", () => {
  it("are listed by name, with how they are", async () => {
    server.on("GET /integration-connections", { body: { connections: [connection({ lifecycle_status: "error" })] } });
    expect((await home.run(["connections", "list"])).stdout).toMatch(
      /NAME +SLUG +PROVIDER +STATUS +ADDED +ID\n.* error /,
    );
    const json = JSON.parse((await home.run(["connections", "list", "--json"])).stdout);
    expect(json.connections).toMatchObject([{ id: ids.connection }]);
    server.on("GET /integration-connections", { body: { connections: [] } });
    expect((await home.run(["connections", "list"])).stdout).toContain("next: shipfox projects create");
  });
});

describe("webhooks", () => {
  const URL = "https://ci.example.com/hook";
  const hook = (fields: object = {}) =>
    webhookSchema.parse({
      id: newId(),
      workspace_id: ids.workspace,
      name: "ci",
      url: URL,
      events: ["run.finished"],
      status: "active",
      disabled_reason: null,
      failing_since: null,
      created_at: AT,
      updated_at: AT,
      ...fields,
    });

  it("are made with a secret that is shown once, and listed without", async () => {
    server.on("POST /workspaces/*/webhooks", { status: 201, body: { ...hook(), secret: "whsec_abc" } });
    const made = await home.run(["webhooks", "create", URL, "--event", "run.started", "run.finished", "--name", "ci"]);
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^whsec_abc\n/) });
    await home.run(["webhooks", "create", URL]);
    expect(server.seen("POST /workspaces/*/webhooks").map(({ body }) => body)).toEqual([
      { url: URL, events: ["run.started", "run.finished"], name: "ci" },
      { url: URL, events: ["run.finished"] },
    ]);
    expect((await home.run(["webhooks", "create", URL, "--event", "run.exploded"])).code).toBe(64);
    const disabled = hook({ name: null, status: "disabled", disabled_reason: "nobody answered for 3 days" });
    server.on("GET /workspaces/*/webhooks", { body: { webhooks: [hook(), disabled] } });
    const { stdout } = await home.run(["webhooks", "list"]);
    expect(stdout).toMatch(/ci +https:\/\/ci\.example\.com\/hook +run\.finished +active/);
    expect(stdout).toContain(`${URL}: nobody answered for 3 days`);
  });

  it("are deleted by name, URL or id, when that names one", async () => {
    const [one, twin] = [hook(), hook({ name: "other" })];
    server.on("GET /workspaces/*/webhooks", { body: { webhooks: [one, twin] } });
    server.on("DELETE /workspaces/*/webhooks/*", { status: 204 });
    expect((await home.run(["webhooks", "delete", URL])).stderr).toContain("name one by its id");
    expect((await home.run(["webhooks", "delete", "gone"])).stderr).toContain("There is no webhook gone.");
    expect(await home.run(["webhooks", "delete", "ci"])).toMatchObject({ code: 0 });
    expect(server.seen("DELETE /workspaces/*/webhooks/*").map(({ path }) => path)).toEqual([
      `/workspaces/${ids.workspace}/webhooks/${one.id}`,
    ]);
  });

  it("tell what was sent and what was answered", async () => {
    const webhook = hook();
    const delivery = webhookDeliverySchema.parse({
      id: newId(),
      webhook_id: webhook.id,
      event_id: 7,
      event_type: "run.finished",
      status: "failed",
      attempts: 3,
      next_attempt_at: null,
      last_attempt_at: AT,
      response_status: 500,
      response_excerpt: null,
      duration_ms: 12,
      error: "the receiver answered 500",
      created_at: AT,
      finished_at: AT,
    });
    server.on("GET /workspaces/*/webhooks", { body: { webhooks: [webhook] } });
    server.on("GET /workspaces/*/webhooks/*/deliveries", { body: { deliveries: [delivery], next_cursor: null } });
    const { stdout } = await home.run(["webhooks", "deliveries", "ci", "--status", "failed"]);
    expect(stdout).toMatch(/2026-07-06 10:00:00 +run\.finished +failed +3 +500 the receiver answered 500/);
    expect(server.seen("GET /workspaces/*/webhooks/*/deliveries")[0]?.query.get("status")).toBe("failed");
    const json = JSON.parse((await home.run(["webhooks", "deliveries", webhook.id, "--json"])).stdout);
    expect(json).toMatchObject({ deliveries: [{ id: delivery.id }], next_cursor: null });
  });
});
