import { type TriggerEventDetail, triggerEventDetailSchema } from "@shipfox/shared/api/trigger-events";
import { newId } from "@shipfox/shared/ids";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ids, membership } from "../testing/fixtures.ts";
import { CliHome } from "../testing/run-cli.ts";

const AT = "2026-07-06T10:00:00.000Z";
const COMMIT = "a".repeat(40);
const HASH = "b".repeat(64);

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

function detail(fields: Partial<TriggerEventDetail> = {}): TriggerEventDetail {
  const id = newId();
  return triggerEventDetailSchema.parse({
    id,
    event_ref: "x:1",
    origin: "integration",
    workspace_id: ids.workspace,
    provider: "github",
    source: "github_acme",
    event: "push",
    delivery_id: "1",
    connection_id: null,
    untrusted: false,
    pass: 1,
    approval: null,
    outcome: "errored",
    matched_count: 1,
    received_at: AT,
    processed_at: AT,
    created_at: AT,
    connection_name: "GitHub",
    payload: { ref: "refs/heads/main" },
    decisions: [
      {
        id: newId(),
        received_event_id: id,
        pass: 1,
        subscription_kind: "trigger",
        subscription_id: newId(),
        subscription_name: "on_push",
        workflow_definition_id: ids.definition,
        project_id: ids.project,
        workflow_run_id: null,
        job_id: null,
        matcher_kind: null,
        matcher_ordinal: null,
        decision: "filter-error",
        run_id: null,
        run_name: null,
        reason: "No such key: missing",
        created_at: AT,
      },
    ],
    ...fields,
  });
}

const waiting = () =>
  detail({
    untrusted: true,
    outcome: "received",
    approval: { status: "waiting", commit: COMMIT, workflows_hash: HASH, approved_by: null, approved_at: null },
    decisions: [],
  });

describe("events", () => {
  it("are listed with what became of them, as the filters say", async () => {
    server.on("GET /trigger-events", { body: { trigger_events: [detail(), waiting()], next_cursor: "more" } });
    const listed = await home.run(["events", "list", "-n", "2"]);
    expect(listed.stdout).toMatch(/^TIME \(UTC\) +SOURCE +EVENT +OUTCOME +MATCHED +ID\n/);
    expect(listed.stdout).toMatch(/github_acme +push +errored/);
    expect(listed.stdout).toContain("waits for approval");
    expect(listed.stderr).toContain("There are more");
    const filters = [
      "--source",
      "alerts",
      "cron",
      "--outcome",
      "errored",
      "--approval",
      "waiting",
      "--from",
      "2026-07-01",
    ];
    const json = await home.run(["events", "list", ...filters, "-n", "2", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ trigger_events: [{ event: "push" }, {}], next_cursor: "more" });
    const { query } = server.seen("GET /trigger-events").at(-1) ?? {};
    expect(query?.getAll("source")).toEqual(["alerts", "cron"]);
    expect([query?.get("outcome"), query?.get("approval"), query?.get("from")]).toEqual([
      "errored",
      "waiting",
      "2026-07-01T00:00:00.000Z",
    ]);
  });

  it("are shown with the run that listened for them", async () => {
    const { decisions, ...event } = detail();
    const listener = {
      subscription_kind: "listener" as const,
      subscription_name: "listener on[0] alerts/received",
      workflow_run_id: ids.run,
      decision: "triggered" as const,
      reason: null,
    };
    const taken = { ...event, decisions: decisions.map((decision) => ({ ...decision, ...listener })) };
    server.on(`GET /trigger-events/${event.id}`, { body: taken });
    const { stdout } = await home.run(["events", "view", event.id]);
    expect(stdout).toContain("listener on[0] alerts/received");
    expect(stdout).toContain(ids.run);
  });

  it("are shown with their payload and what each trigger made of them", async () => {
    const event = detail();
    server.on(`GET /trigger-events/${event.id}`, { body: event });
    const { stdout } = await home.run(["events", "view", event.id]);
    expect(stdout).toContain('"ref": "refs/heads/main"');
    expect(stdout).toMatch(/on_push +filter-error +- +No such key: missing/);
    expect(JSON.parse((await home.run(["events", "view", event.id, "--json"])).stdout)).toEqual(event);
  });

  it("are replayed", async () => {
    const event = detail({ outcome: "received", pass: 2 });
    server.on(`POST /trigger-events/${event.id}/replay`, { status: 202, body: event });
    expect(await home.run(["events", "replay", event.id])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("github_acme push is routed once more"),
    });
  });

  it("are approved for the commit and the workflows that were there, and never unasked", async () => {
    const event = waiting();
    const approve = `POST /trigger-events/${event.id}/approve`;
    server.on(`GET /trigger-events/${event.id}`, { body: event });
    server.on(approve, { status: 202, body: { ...event, approval: { ...event.approval, status: "approved" } } });
    expect((await home.run(["events", "view", event.id])).stdout).toContain(`next: shipfox events approve ${event.id}`);
    expect((await home.run(["events", "approve", event.id])).stderr).toContain("add --yes");
    const other = await home.run(["events", "approve", event.id, "--commit", "c".repeat(40), "--yes"]);
    expect(other).toMatchObject({ code: 64, stderr: expect.stringContaining(COMMIT) });
    expect(server.seen(approve)).toEqual([]);
    expect(await home.run(["events", "approve", event.id, "--commit", COMMIT, "--yes"])).toMatchObject({ code: 0 });
    expect(server.seen(approve).map(({ body }) => body)).toEqual([{ commit: COMMIT, workflows_hash: HASH }]);
  });

  it("are not approved when they wait for nothing", async () => {
    const event = detail();
    server.on(`GET /trigger-events/${event.id}`, { body: event });
    const refused = await home.run(["events", "approve", event.id, "--yes"]);
    expect(refused).toMatchObject({ code: 64, stderr: expect.stringContaining("waits for no approval") });
  });
});
