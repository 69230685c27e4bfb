import { newId } from "@shipfox/shared/ids";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { auditEvent, ids, member, membership } from "../testing/fixtures.ts";
import { CliHome } from "../testing/run-cli.ts";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";

const LOG = "GET /workspaces/*/audit-events";

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

const queries = () => server.seen(LOG).map(({ query }) => Object.fromEntries(query));

describe("the audit log of a workspace", () => {
  it("tells when who did what to which object, and how it ended", async () => {
    const byToken = { type: "access_token", user_id: ids.user, email: "ada@example.com", token_id: newId() } as const;
    const denied = auditEvent({ actor: byToken, action: "call.forbidden", outcome: "denied" });
    server.on(LOG, { body: { audit_events: [auditEvent(), denied], next_cursor: null } });
    const { code, stdout, stderr } = await home.run(["audit"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^TIME \(UTC\) +ACTOR +ACTION +TARGET +OUTCOME +IP\n/);
    expect(stdout).toMatch(/2026-07-06 10:00:00 +ada@example\.com +project\.created +project Shop +done +127\.0\.0\.1/);
    expect(stdout).toMatch(/ada@example\.com \(token\) +call\.forbidden .*denied/);
  });

  it("is filtered by the control plane, by a member's address and by times as people write them", async () => {
    server.on(LOG, { body: { audit_events: [], next_cursor: null } });
    const bob = member({ user_email: "bob@example.com" });
    server.on("GET /workspaces/*/members", { body: { members: [bob] } });
    const what = ["--action", "project.created", "--target-type", "project", "--target", ids.project];
    const when = ["--from", "2026-01-31", "--to", "2026-02-01T10:00:00+01:00"];
    const result = await home.run(["audit", "--actor", "Bob@example.com", "--outcome", "done", ...what, ...when]);
    expect(result).toMatchObject({ code: 0, stdout: "The audit log has no such entry.\n" });
    expect(queries()).toEqual([
      {
        action: "project.created",
        actor_user_id: bob.user_id,
        target_type: "project",
        target_id: ids.project,
        outcome: "done",
        from: "2026-01-31T00:00:00.000Z",
        to: "2026-02-01T09:00:00.000Z",
        limit: "20",
      },
    ]);
    const before = Date.now();
    await home.run(["audit", "--from", "24h", "--actor", ids.user]);
    const { from = "", actor_user_id } = queries().at(-1) ?? {};
    expect(actor_user_id).toBe(ids.user);
    expect(Date.parse(from)).toBeGreaterThanOrEqual(before - 24 * 3_600_000);
    expect(Date.parse(from)).toBeLessThanOrEqual(Date.now() - 24 * 3_600_000);
    expect(await home.run(["audit", "--actor", "eve@example.com"])).toMatchObject({ code: 64 });
    const odd = await home.run(["audit", "--from", "yesterday"]);
    expect([odd.code, odd.stderr]).toEqual([64, expect.stringContaining("a day such as 2026-01-31")]);
  });

  it("is read a page at a time, to the wanted length or to its end, and says when it goes on", async () => {
    server.on(LOG, ({ query }) => {
      const start = Number(query.get("cursor") ?? 0);
      const end = Math.min(start + Number(query.get("limit")), 250);
      const audit_events = Array.from({ length: end - start }, () => auditEvent());
      return { body: { audit_events, next_cursor: end < 250 ? String(end) : null } };
    });
    const some = await home.run(["audit", "-n", "120"]);
    expect(some.stdout.trimEnd().split("\n")).toHaveLength(1 + 120);
    expect(some.stderr).toContain("--limit <count> or --all");
    const all = await home.run(["audit", "--all", "--json"]);
    expect(all.stderr).toBe("");
    const document = JSON.parse(all.stdout);
    expect([document.audit_events.length, document.next_cursor]).toEqual([250, null]);
    expect(queries().map(({ limit, cursor }) => [limit, cursor])).toEqual([
      ["100", undefined],
      ["20", "100"],
      ["100", undefined],
      ["100", "100"],
      ["100", "200"],
    ]);
    expect(await home.run(["audit", "--all", "-n", "5"])).toMatchObject({ code: 64 });
    expect(await home.run(["audit", "-n", "1001"])).toMatchObject({ code: 64 });
  });
});
