import { usageReplySchema } from "@shipfox/shared/api/usage";
import { createInvitationReplySchema } from "@shipfox/shared/api/workspaces";
import { newId } from "@shipfox/shared/ids";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ids, member, membership, user } from "../testing/fixtures.ts";
import { CliHome } from "../testing/run-cli.ts";

const AT = "2026-07-06T10:00:00.000Z";
const times = { created_at: AT, updated_at: AT };

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

describe("a workspace", () => {
  it("gets another name, or slug, or both", async () => {
    const body = { id: ids.workspace, name: "Shop Team", slug: "shop", status: "active", settings: {}, ...times };
    server.on("PATCH /workspaces/*", { body });
    const renamed = await home.run(["workspaces", "rename", "Shop Team"]);
    expect(renamed).toMatchObject({ code: 0, stdout: "✓ The workspace is called Shop Team (shop) now.\n" });
    await home.run(["workspaces", "rename", "--slug", "shop", "--workspace", "web"]);
    expect(await home.run(["workspaces", "rename"])).toMatchObject({ code: 64 });
    expect(server.seen("PATCH /workspaces/*").map((call) => [call.path, call.body])).toEqual([
      [`/workspaces/${ids.workspace}`, { name: "Shop Team" }],
      [`/workspaces/${ids.workspace}`, { slug: "shop" }],
    ]);
  });

  it("gets a limit of its own, or the server's", async () => {
    server.on("PATCH /workspaces/*/limits", { body: { max_concurrent_runs: 5, own: true } });
    expect((await home.run(["workspaces", "limit", "5"])).stdout).toContain("at once: 5, its own limit");
    await home.run(["workspaces", "limit", "default"]);
    for (const count of ["-1", "many", "1e3", ""]) {
      expect(await home.run(["workspaces", "limit", "--", count])).toMatchObject({ code: 64 });
    }
    expect(server.seen("PATCH /workspaces/*/limits").map(({ body }) => body)).toEqual([
      { max_concurrent_runs: 5 },
      { max_concurrent_runs: null },
    ]);
  });

  it("is left and deleted only when it is named, and by who is sure", async () => {
    server.on("POST /workspaces/*/leave", { status: 204 }).on("DELETE /workspaces/*", { status: 204 });
    for (const verb of ["leave", "delete"]) {
      expect(await home.run(["workspaces", verb])).toMatchObject({ code: 64 });
      const unasked = await home.run(["workspaces", verb, "web"]);
      expect([unasked.code, unasked.stderr]).toEqual([64, expect.stringContaining("add --yes")]);
    }
    const changes = () => server.requests.filter(({ method }) => method !== "GET").map(({ method }) => method);
    expect(changes()).toEqual([]);
    expect(await home.run(["workspaces", "leave", "web", "--yes"])).toMatchObject({ code: 0 });
    using terminal = home.startOnTerminal(["workspaces", "delete", "web"]);
    await terminal.answer("Delete the workspace web?", "y");
    expect(await terminal.finish()).toBe(0);
    expect(changes()).toEqual(["POST", "DELETE"]);
  });

  it("tells what it used, and what it may", async () => {
    const by_status = [
      { status: "succeeded", count: 40 },
      { status: "failed", count: 2 },
    ];
    const usage = usageReplySchema.parse({
      from: "2026-01-01T00:00:00.000Z",
      to: "2026-02-01T00:00:00.000Z",
      runs: { total: 42, by_status },
      job_minutes: 95.5,
      stored_log_bytes: 3 * 1024 * 1024,
      stored_files: { artifact_bytes: 5 * 1024 * 1024, cache_bytes: 1024 },
      stored_trigger_events: { events: 12, bytes: 2 * 1024 * 1024 },
      concurrent_runs: { going: 1, waiting: 0 },
      limits: {
        max_concurrent_runs: 0,
        max_secrets: 10_000,
        log_retention_days: 90,
        max_trigger_events: 100_000,
        max_trigger_event_bytes: 1024 ** 3,
        max_artifact_bytes: 2 * 1024 ** 3,
        max_cache_bytes: 1024 ** 3,
      },
    });
    server.on("GET /workspaces/*/usage", { body: usage });
    const { stdout } = await home.run(["usage", "--from", "2026-01-01", "--to", "2026-02-01"]);
    expect(stdout).toMatch(/^period \(UTC\) +2026-01-01 00:00:00 to 2026-02-01 00:00:00$/m);
    expect(stdout).toMatch(/^runs +42: 40 succeeded, 2 failed$/m);
    expect(stdout).toMatch(/^job minutes +95\.5$/m);
    expect(stdout).toMatch(/^stored logs +3\.0 MiB$/m);
    expect(stdout).toMatch(/^artifacts +5\.0 MiB of 2\.0 GiB$/m);
    expect(stdout).toMatch(/^caches +1\.0 KiB of 1\.0 GiB$/m);
    expect(stdout).toMatch(/^trigger events +12 of 100000, 2\.0 MiB of 1\.0 GiB$/m);
    expect(stdout).toMatch(/^runs at once +any number$/m);
    expect(Object.fromEntries(server.seen("GET /workspaces/*/usage")[0]?.query ?? [])).toEqual({
      from: "2026-01-01T00:00:00.000Z",
      to: "2026-02-01T00:00:00.000Z",
    });
    expect(JSON.parse((await home.run(["usage", "--json"])).stdout)).toEqual(usage);
  });
});

describe("an open invitation", () => {
  const invitation = createInvitationReplySchema.parse({
    id: newId(),
    workspace_id: ids.workspace,
    email: "bob@example.com",
    role: "viewer",
    expires_at: "2026-07-13T10:00:00.000Z",
    accepted_at: null,
    invited_by_user_id: ids.user,
    invited_by_display: "Ada",
    ...times,
    link: "https://ci.example.com/invitations/accept?token=sf_i_1",
  });

  it("gets a new link, which is shown or mailed", async () => {
    server.on("GET /workspaces/*/invitations", { body: { invitations: [invitation] } });
    server.on("POST /workspaces/*/invitations/*/resend", { body: invitation });
    const shown = await home.run(["members", "resend", "Bob@example.com"]);
    expect([shown.code, shown.stdout]).toEqual([0, expect.stringContaining(`${invitation.link}\n`)]);
    server.on("POST /workspaces/*/invitations/*/resend", { body: { ...invitation, link: null } });
    expect((await home.run(["members", "resend", "bob@example.com"])).stdout).toContain("gets a mail with a link");
    const path = `/workspaces/${ids.workspace}/invitations/${invitation.id}/resend`;
    expect(server.seen("POST /workspaces/*/invitations/*/resend").map((call) => call.path)).toEqual([path, path]);
    const unknown = await home.run(["members", "resend", "eve@example.com"]);
    expect([unknown.code, unknown.stderr]).toEqual([64, expect.stringContaining("has no open invitation")]);
  });

  it("stands in the list of members until it ends, and its message names what to type", async () => {
    const ada = member({ user_id: ids.user, user_email: "ada@example.com", role: "owner", created_at: AT });
    server.on("GET /workspaces/*/members", { body: { members: [ada] } });
    server.on("GET /auth/me", { body: { user, admin_role: null } });
    server.on("GET /workspaces/*/invitations", { body: { invitations: [invitation] } });
    const { stdout } = await home.run(["members", "list"]);
    expect(stdout).toMatch(/^E-MAIL +NAME +ROLE +STATE\n/);
    expect(stdout).toMatch(/ada@example\.com .*owner +member since 2026-07-06\n/);
    expect(stdout).toMatch(/bob@example\.com +viewer +invited until 2026-07-13\n/);

    const body = { code: "open-invitation-exists", message: "the address has an open invitation" };
    server.on("POST /workspaces/*/invitations", { status: 409, body });
    expect((await home.run(["members", "invite", "bob@example.com"])).stderr).toContain("shipfox members resend");
  });
});
