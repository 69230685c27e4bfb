import { type Role, ROLES } from "@shipfox/shared/api/workspaces";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { roleHas } from "../../http/abilities.ts";
import { systemClock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, silentLog, TEST_ROOT_KEY, testClock } from "../../testing/api.ts";
import { insertUser, insertWorkspace } from "../../testing/rows.ts";
import { Mail } from "../mail/public.ts";
import { Envelope } from "../secrets/public.ts";
import { checkRemoval, checkRoleChange } from "./model.ts";
import { access, createInvitationRoutes, createMemberRoutes, createWorkspaceRoutes } from "./public.ts";

const DAY_MS = 24 * 3_600_000;

describeStores("the people of a workspace", (open) => {
  let store: Store;
  let api: Api;
  let told: unknown[];
  let begun: string[];
  let clock: ReturnType<typeof testClock>;
  let [ada, bob, eve] = ["", "", ""];
  let workspace: string;

  beforeEach(async () => {
    store = await open();
    told = [];
    begun = [];
    clock = testClock(Date.now());
    const accessChanged = (whose: unknown) => void told.push(whose);
    const removals = { begin: async (_tx: unknown, id: string) => void begun.push(id) };
    const mail = new Mail({
      store,
      clock: systemClock,
      log: silentLog,
      envelope: new Envelope(TEST_ROOT_KEY),
      smtp: null,
    });
    const deps = { store, clock, access, accessChanged, removals, mail, publicUrl: "https://ci.example.com/" };
    api = await serveApi([
      ...createWorkspaceRoutes(deps),
      ...createMemberRoutes(deps),
      ...createInvitationRoutes(deps),
    ]);
    [ada, bob, eve] = [await insertUser(store), await insertUser(store), await insertUser(store)];
    workspace = await insertWorkspace(store, { [ada]: "owner", [bob]: "admin" });
  });
  afterEach(() => api.close());

  const members = (user: string) => api.call("GET", `/workspaces/${workspace}/members`, { user });
  const change = (user: string, member: string, role: Role) =>
    api.call("PATCH", `/workspaces/${workspace}/members/${member}`, { user, body: { role } });
  const remove = (user: string, member: string) =>
    api.call("DELETE", `/workspaces/${workspace}/members/${member}`, { user });
  const invite = (user: string, email: string, role?: Role) =>
    api.call("POST", `/workspaces/${workspace}/invitations`, { user, body: { email, ...(role ? { role } : {}) } });
  const accept = (user: string, token: string) => api.call("POST", "/invitations/accept", { user, body: { token } });
  const emailOf = (user: string) => `${user}@example.com`;
  const tokenOf = (link: string) => new URL(link).searchParams.get("token") ?? "";
  const outcome = ({ status, body }: Awaited<ReturnType<typeof members>>) => [status, body?.code ?? null];

  it("are listed to members, changed by those who manage them, and owners only by owners", async () => {
    expect((await members(bob)).body.members).toMatchObject([
      { user_id: ada, role: "owner", user_email: emailOf(ada) },
      { user_id: bob, role: "admin" },
    ]);
    expect(outcome(await members(eve))).toEqual([403, "forbidden"]);
    expect(outcome(await change(bob, ada, "viewer"))).toEqual([403, "forbidden"]);
    expect(outcome(await change(bob, bob, "owner"))).toEqual([403, "forbidden"]);
    expect(outcome(await change(ada, ada, "admin"))).toEqual([409, "last-owner"]);
    expect((await change(ada, bob, "owner")).body.role).toBe("owner");
    expect((await change(bob, ada, "viewer")).body.role).toBe("viewer");
    expect(outcome(await change(ada, bob, "viewer"))).toEqual([403, "forbidden"]);
    expect(told).toEqual([{ userId: bob }, { userId: ada }]);
  });

  it("leave or are removed, with their access tokens, and never the last owner", async () => {
    expect(outcome(await remove(bob, ada))).toEqual([403, "forbidden"]);
    expect(outcome(await remove(ada, ada))).toEqual([409, "self-removal-not-allowed"]);
    expect(outcome(await api.call("POST", `/workspaces/${workspace}/leave`, { user: ada }))).toEqual([
      409,
      "last-owner",
    ]);
    expect(outcome(await remove(ada, eve))).toEqual([404, "not-found"]);
    const token = `insert into access_tokens (id, user_id, workspace_id, name, prefix, token_hash, abilities, created_at)
      values ('t', ?, ?, 'ci', 'sf_pat_', 'h', '[]', 0)`;
    await store.write((tx) => tx.run(token, [bob, workspace]));
    expect((await remove(ada, bob)).status).toBe(204);
    expect(await store.read((tx) => tx.get("select revoked_at from access_tokens"))).not.toEqual({ revoked_at: null });
    expect(outcome(await members(bob))).toEqual([403, "forbidden"]);
    expect(told).toEqual([{ userId: bob }]);
  });

  it("are invited by a link that works once, for one address, for a week", async () => {
    const made = await invite(ada, emailOf(eve), "viewer");
    expect([made.status, made.body.role, made.body.email]).toEqual([201, "viewer", emailOf(eve)]);
    expect(made.body.link).toMatch(/^https:\/\/ci\.example\.com\/invitations\/accept\?token=sf_i_/);
    const token = tokenOf(made.body.link);
    expect(outcome(await invite(bob, emailOf(eve)))).toEqual([409, "open-invitation-exists"]);
    expect(outcome(await invite(bob, emailOf(ada)))).toEqual([409, "already-a-member"]);
    expect(outcome(await invite(bob, "boss@example.com", "owner"))).toEqual([403, "forbidden"]);
    const preview = () => api.call("GET", `/invitations/preview?token=${token}`);
    expect((await preview()).body).toMatchObject({ status: "pending", workspace_id: workspace, email: emailOf(eve) });
    expect(outcome(await accept(bob, token))).toEqual([403, "invitation-email-mismatch"]);
    expect((await accept(eve, token)).body).toMatchObject({
      membership: { user_id: eve, workspace_id: workspace },
      already_member: false,
    });
    expect((await preview()).body.status).toBe("already_used");
    expect(outcome(await accept(eve, token))).toEqual([410, "invitation-token-used"]);
    expect((await members(eve)).body.members).toHaveLength(3);
    const stored = await store.read((tx) => tx.all("select * from invitations"));
    expect(JSON.stringify(stored)).not.toContain(token);
  });

  it("are not brought in by somebody who could not invite them any more", async () => {
    const tokens = await Promise.all(
      (["viewer", "maintainer"] as const).map(async (role, index) => {
        const made = await invite(bob, `friend${index}@example.com`, role);
        return { id: made.body.id as string, token: tokenOf(made.body.link) };
      }),
    );
    const open = async () =>
      (await api.call("GET", `/workspaces/${workspace}/invitations`, { user: ada })).body.invitations;
    const resend = `/workspaces/${workspace}/invitations/${tokens[1]?.id}/resend`;
    const again = await api.call("POST", resend, { user: ada });
    expect(again.status).toBe(200);
    expect((await remove(ada, bob)).status).toBe(204);
    // Whoever sent it again stands for it now.
    expect((await open()).map(({ id }: { id: string }) => id)).toEqual([tokens[1]?.id]);
    const preview = await api.call("GET", `/invitations/preview?token=${tokens[0]?.token}`);
    expect(preview.body).toEqual({ status: "invalid" });

    expect((await accept(eve, tokenOf((await invite(ada, emailOf(eve), "owner")).body.link))).status).toBe(201);
    expect((await invite(eve, "boss@example.com", "owner")).status).toBe(201);
    expect((await invite(eve, "worker@example.com", "viewer")).status).toBe(201);
    expect((await change(ada, eve, "admin")).status).toBe(200);
    expect((await open()).map(({ email }: { email: string }) => email)).not.toContain("boss@example.com");
    expect((await open()).map(({ email }: { email: string }) => email)).toContain("worker@example.com");
  });

  it("keep their role without a trace when they are given the one they have", async () => {
    const entries = () => store.read((tx) => tx.all("select id from audit_events"));
    const before = await entries();
    expect((await change(bob, ada, "owner")).body.role).toBe("owner");
    expect(await entries()).toEqual(before);
    expect(told).toEqual([]);
  });

  it("are not let in by a link that expired or was withdrawn", async () => {
    const first = await invite(ada, emailOf(eve));
    clock.advance(8 * DAY_MS);
    expect((await api.call("GET", `/invitations/preview?token=${tokenOf(first.body.link)}`)).body.status).toBe(
      "expired",
    );
    expect(outcome(await accept(eve, tokenOf(first.body.link)))).toEqual([410, "invitation-token-expired"]);
    const second = await invite(ada, emailOf(eve));
    const listed = await api.call("GET", `/workspaces/${workspace}/invitations`, { user: bob });
    expect(listed.body.invitations.map((one: { id: string }) => one.id)).toEqual([second.body.id]);
    const path = `/workspaces/${workspace}/invitations/${second.body.id}`;
    expect((await api.call("DELETE", path, { user: bob })).status).toBe(204);
    expect(outcome(await api.call("DELETE", path, { user: bob }))).toEqual([404, "not-found"]);
    expect((await api.call("GET", `/invitations/preview?token=${tokenOf(second.body.link)}`)).body.status).toBe(
      "invalid",
    );
    expect(outcome(await accept(eve, tokenOf(second.body.link)))).toEqual([410, "invitation-token-invalid"]);
  });

  it("get a new link when it is asked for, which ends the former one and lasts a week from then", async () => {
    const first = await invite(ada, emailOf(eve), "viewer");
    const path = `/workspaces/${workspace}/invitations/${first.body.id}`;
    const resend = (user: string) => api.call("POST", `${path}/resend`, { user });
    clock.advance(6 * DAY_MS);
    const second = await resend(bob);
    expect([second.status, second.body.id, second.body.role]).toEqual([200, first.body.id, "viewer"]);
    expect(Date.parse(second.body.expires_at) - Date.parse(first.body.expires_at)).toBe(6 * DAY_MS);
    expect(outcome(await accept(eve, tokenOf(first.body.link)))).toEqual([410, "invitation-token-invalid"]);
    clock.advance(6 * DAY_MS);
    expect((await accept(eve, tokenOf(second.body.link))).body.membership).toMatchObject({ user_id: eve });
    expect(outcome(await resend(ada))).toEqual([404, "not-found"]);
    const stored = await store.read((tx) => tx.all("select * from invitations"));
    expect(JSON.stringify(stored)).not.toContain(tokenOf(second.body.link));
    const audited = await store.read((tx) =>
      tx.all("select action, target_id, details from audit_events where action like 'invitation.re%'"),
    );
    expect(audited).toEqual([{ action: "invitation.resent", target_id: first.body.id, details: '{"role":"viewer"}' }]);
  });

  it("get a new link after the first one expired, unless they were invited anew or are members by now", async () => {
    const resend = (id: string) => api.call("POST", `/workspaces/${workspace}/invitations/${id}/resend`, { user: ada });
    const expired = await invite(ada, emailOf(eve));
    clock.advance(8 * DAY_MS);
    const revived = await resend(expired.body.id);
    expect(revived.status).toBe(200);
    clock.advance(8 * DAY_MS);
    const anew = await invite(ada, emailOf(eve));
    expect(outcome(await resend(expired.body.id))).toEqual([409, "open-invitation-exists"]);
    expect((await accept(eve, tokenOf(anew.body.link))).status).toBe(201);
    expect(outcome(await resend(expired.body.id))).toEqual([409, "already-a-member"]);
  });

  it("get new links only from those who manage members and may give the role, and not without end", async () => {
    const { body } = await invite(ada, "boss@example.com", "owner");
    const path = `/workspaces/${workspace}/invitations/${body.id}/resend`;
    const elsewhere = await insertWorkspace(store, { [eve]: "owner" });
    for (const user of [bob, eve]) expect(outcome(await api.call("POST", path, { user }))).toEqual([403, "forbidden"]);
    const stolen = path.replace(workspace, elsewhere);
    expect(outcome(await api.call("POST", stolen, { user: eve }))).toEqual([404, "not-found"]);
    for (let count = 0; count < 5; count += 1) expect((await api.call("POST", path, { user: ada })).status).toBe(200);
    const kept = await store.read((tx) => tx.get("select token_hash from invitations"));
    const refused = await api.call("POST", path, { user: ada });
    expect(refused).toMatchObject({
      status: 429,
      body: { code: "rate-limited", details: { retry_after_seconds: 3600 } },
    });
    expect(await store.read((tx) => tx.get("select token_hash from invitations"))).toEqual(kept);
    clock.advance(DAY_MS);
    expect((await api.call("POST", path, { user: ada })).status).toBe(200);
  });

  it("rename a workspace and its slug, and see one that was deleted or suspended as that", async () => {
    const path = `/workspaces/${workspace}`;
    const other = await api.call("POST", "/workspaces", { user: eve, body: { name: "Other", slug: "taken" } });
    expect((await api.call("GET", "/workspaces/slug-availability?slug=taken", { user: ada })).body).toEqual({
      available: false,
    });
    expect(outcome(await api.call("PATCH", path, { user: ada, body: { slug: "taken" } }))).toEqual([
      409,
      "slug-conflict",
    ]);
    const renamed = await api.call("PATCH", path, { user: bob, body: { name: "New", slug: "new-slug" } });
    expect(renamed.body).toMatchObject({ name: "New", slug: "new-slug" });
    expect(outcome(await api.call("GET", `/workspaces/${other.body.id}`, { user: ada }))).toEqual([403, "forbidden"]);
    await store.write((tx) => tx.run("update workspaces set status = 'suspended' where id = ?", [workspace]));
    expect(outcome(await api.call("GET", path, { user: ada }))).toEqual([409, "workspace-suspended"]);
    await store.write((tx) => tx.run("update workspaces set status = 'active' where id = ?", [workspace]));
    expect(outcome(await api.call("DELETE", path, { user: bob }))).toEqual([403, "forbidden"]);
    expect((await api.call("DELETE", path, { user: ada })).status).toBe(204);
    expect(outcome(await api.call("GET", path, { user: ada }))).toEqual([403, "workspace-inactive"]);
    expect([begun, told]).toEqual([[workspace], [{ workspaceId: workspace }]]);
  });

  it("keep an owner who can act: one who is suspended does not count, and can be removed", async () => {
    await change(ada, bob, "owner");
    await store.write((tx) => tx.run("update users set status = 'suspended' where id = ?", [bob]));
    expect(outcome(await change(ada, ada, "viewer"))).toEqual([409, "last-owner"]);
    expect(outcome(await api.call("POST", `/workspaces/${workspace}/leave`, { user: ada }))).toEqual([
      409,
      "last-owner",
    ]);
    expect((await change(ada, bob, "admin")).status).toBe(200);
    expect((await change(ada, bob, "owner")).status).toBe(200);
    expect((await remove(ada, bob)).status).toBe(204);
  });

  it("always leave an owner, when owners act against each other at the same moment", async () => {
    await change(ada, bob, "owner");
    await Promise.all([remove(ada, bob), remove(bob, ada), change(ada, bob, "viewer"), change(bob, ada, "viewer")]);
    const owners = await store.read((tx) => tx.all("select id from memberships where role = 'owner'"));
    expect(owners.length).toBeGreaterThanOrEqual(1);
  });
});

describe("decisions about members", () => {
  it("keep an owner, and give nobody a role that the actor may not give, in any order", () => {
    const step = fc.record({
      actor: fc.nat(4),
      member: fc.nat(4),
      role: fc.option(fc.constantFrom(...ROLES)),
    });
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...ROLES), { minLength: 5, maxLength: 5 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 4 })),
        fc.array(step),
        (start, away, plan) => {
          const suspended = new Set(away);
          const roles: (Role | null)[] = ["owner", ...start.slice(1)];
          for (const { actor, member, role } of plan) {
            const [actorRole, memberRole] = [roles[actor], roles[member]];
            if (!actorRole || !memberRole || !roleHas(actorRole, "members:manage")) continue;
            const isOwner = (one: number) => roles[one] === "owner" && !suspended.has(one);
            const activeOwners = roles.filter((_, one) => isOwner(one)).length;
            if (suspended.has(actor)) continue;
            const memberIsActive = !suspended.has(member);
            const change = { workspaceId: "w", actorRole, memberRole, memberIsActive, activeOwners };
            try {
              if (role === null) checkRemoval(change);
              else checkRoleChange(change, role);
            } catch {
              continue;
            }
            if (memberRole !== role && (memberRole === "owner" || role === "owner")) expect(actorRole).toBe("owner");
            roles[member] = role;
            expect(roles.some((_, one) => isOwner(one))).toBe(true);
          }
        },
      ),
    );
  });
});
