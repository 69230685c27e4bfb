import { type Role, ROLES } from "@shipfox/shared/api/workspaces";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import { roleHas } from "./http/abilities.ts";
import { Idempotency } from "./http/idempotency.ts";
import { Mail } from "./modules/mail/public.ts";
import { createOperationsRoutes, ServerSettings } from "./modules/operations/public.ts";
import { Envelope } from "./modules/secrets/public.ts";
import { access, createInvitationRoutes, createMemberRoutes } from "./modules/workspaces/public.ts";
import { systemClock } from "./store/clock.ts";
import type { Store } from "./store/store.ts";
import { describeStores } from "./store/testing.ts";
import { type Api, serveApi, silentLog, TEST_ROOT_KEY } from "./testing/api.ts";
import { insertUser, insertWorkspace } from "./testing/rows.ts";

const PEOPLE = 4;
const CASES = 12;
const person = fc.nat(PEOPLE - 1);
const role = fc.constantFrom(...ROLES);
/** Which of the invitations that were made so far, from the newest. */
const pick = fc.nat(3);

/** Of all but person 0, who is an owner at first. */
const others = fc.array(fc.option(role), { minLength: PEOPLE - 1, maxLength: PEOPLE - 1 });
const commands = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant("invite" as const), actor: person, target: person, role }),
    fc.record({ do: fc.constant("accept" as const), actor: person, pick }),
    fc.record({ do: fc.constant("withdraw" as const), actor: person, pick }),
    fc.record({ do: fc.constant("change" as const), actor: person, target: person, role }),
    fc.record({ do: fc.constant("remove" as const), actor: person, target: person }),
    fc.record({ do: fc.constant("leave" as const), actor: person }),
    fc.record({ do: fc.constant("suspend" as const), target: person }),
    fc.record({ do: fc.constant("reactivate" as const), target: person }),
  ),
  { minLength: 8, maxLength: 30 },
);
type Command = typeof commands extends fc.Arbitrary<(infer One)[]> ? One : never;

interface Invitation {
  readonly target: number;
  readonly role: Role;
  readonly by: number;
  state: "open" | "accepted" | "deleted";
}

/** What the access rules say, told once more and in another way. */
class Model {
  readonly roles: (Role | null)[];
  readonly suspended = new Set<number>();
  readonly invitations: Invitation[] = [];
  readonly audit: Record<string, number> = {};

  constructor(roles: readonly (Role | null)[]) {
    this.roles = [...roles];
  }

  /** The role with which somebody acts now. */
  acting(one: number): Role | null {
    return this.suspended.has(one) ? null : (this.roles[one] ?? null);
  }

  manages(one: number): boolean {
    const own = this.acting(one);
    return own !== null && roleHas(own, "members:manage");
  }

  /** Does what the command does, and answers with what status. */
  apply(command: Command): number {
    if (command.do === "suspend" || command.do === "reactivate") {
      const isAway = this.suspended.has(command.target);
      if (isAway === (command.do === "suspend")) return 409;
      if (isAway) this.suspended.delete(command.target);
      else this.suspended.add(command.target);
      return this.#done(isAway ? "user.reactivated" : "user.suspended", 200);
    }
    const { actor } = command;
    if (command.do === "accept") return this.#accept(actor, this.picked(command.pick));
    if (command.do === "leave") {
      if (this.suspended.has(actor)) return 401;
      if (this.acting(actor) === null) return 403;
      return this.#isLastOwner(actor) ? 409 : this.#end(actor, "member.left");
    }
    if (!this.manages(actor)) return 403;
    if (command.do === "withdraw") {
      const invitation = this.picked(command.pick);
      if (invitation?.state !== "open") return 404;
      invitation.state = "deleted";
      return this.#done("invitation.deleted", 204);
    }
    const { target } = command;
    const isOwner = this.roles[actor] === "owner";
    if (command.do === "invite") {
      if (command.role === "owner" && !isOwner) return 403;
      if (this.roles[target] !== null || this.invitations.some((one) => one.target === target && one.state === "open"))
        return 409;
      this.invitations.push({ target, role: command.role, by: actor, state: "open" });
      return this.#done("invitation.created", 201);
    }
    if (this.roles[target] === null) return 404;
    if (command.do === "remove" && target === actor) return 409;
    const becomes = command.do === "change" ? command.role : null;
    if (becomes === this.roles[target]) return 200;
    if (!isOwner && [this.roles[target], becomes].includes("owner")) return 403;
    if (this.#isLastOwner(target)) return 409;
    if (becomes === null) return this.#end(target, "member.removed");
    this.roles[target] = becomes;
    this.#done("member.role_changed", 200);
    this.#withdrawOf(target, (invited) => becomes !== "owner" && (becomes !== "admin" || invited === "owner"));
    return 200;
  }

  picked(from: number): Invitation | undefined {
    return this.invitations.at(-1 - from);
  }

  #accept(actor: number, invitation: Invitation | undefined): number {
    if (this.suspended.has(actor)) return 401;
    if (!invitation || invitation.state === "deleted") return 410;
    if (invitation.target !== actor) return 403;
    if (invitation.state === "accepted") return 410;
    invitation.state = "accepted";
    this.roles[actor] = invitation.role;
    return this.#done("invitation.accepted", 201);
  }

  #end(target: number, action: string): number {
    this.roles[target] = null;
    this.#withdrawOf(target, () => true);
    return this.#done(action, 204);
  }

  #withdrawOf(inviter: number, isBeyond: (role: Role) => boolean): void {
    for (const invitation of this.invitations) {
      if (invitation.by !== inviter || invitation.state !== "open" || !isBeyond(invitation.role)) continue;
      invitation.state = "deleted";
      this.#done("invitation.deleted", 204);
    }
  }

  #isLastOwner(one: number): boolean {
    return this.acting(one) === "owner" && this.roles.filter((_, other) => this.acting(other) === "owner").length === 1;
  }

  #done(action: string, status: number): number {
    this.audit[action] = (this.audit[action] ?? 0) + 1;
    return status;
  }
}

/** One workspace with its people on the real routes. */
class World {
  readonly #api: Api;
  readonly #store: Store;
  readonly #admin: string;
  readonly #people: readonly string[];
  readonly #workspace: string;
  readonly #made: { readonly id: string; readonly token: string }[] = [];
  #keys = 0;

  private constructor(api: Api, store: Store, place: { admin: string; people: string[]; workspace: string }) {
    this.#api = api;
    this.#store = store;
    this.#admin = place.admin;
    this.#people = place.people;
    this.#workspace = place.workspace;
  }

  static async make(api: Api, store: Store, roles: readonly (Role | null)[]): Promise<World> {
    const people = await Promise.all(roles.map(() => insertUser(store)));
    const admin = await insertUser(store);
    await store.write((tx) => tx.run("update users set admin_role = 'admin-owner' where id = ?", [admin]));
    const members = people.flatMap((id, one) => (roles[one] ? [[id, roles[one]] as const] : []));
    const workspace = await insertWorkspace(store, Object.fromEntries(members));
    return new World(api, store, { admin, people, workspace });
  }

  async run(command: Command): Promise<number> {
    const path = `/workspaces/${this.#workspace}`;
    if (command.do === "suspend" || command.do === "reactivate") {
      const headers = { "idempotency-key": `${this.#workspace}-${(this.#keys += 1)}` };
      const options = { user: this.#admin, body: { reason: "asked for" }, headers };
      const target = `/admin/auth/users/${this.#people[command.target]}`;
      return (await this.#api.call("POST", `${target}/${command.do}`, options)).status;
    }
    const user = this.#people[command.actor] as string;
    const call = async (method: string, at: string, body?: object) =>
      await this.#api.call(method, at, { user, ...(body === undefined ? {} : { body }) });
    if (command.do === "leave") return (await call("POST", `${path}/leave`)).status;
    if (command.do === "accept" || command.do === "withdraw") {
      const invitation = this.#made.at(-1 - command.pick) ?? { id: this.#workspace, token: "sf_i_nothing" };
      if (command.do === "withdraw") return (await call("DELETE", `${path}/invitations/${invitation.id}`)).status;
      return (await call("POST", "/invitations/accept", { token: invitation.token })).status;
    }
    const target = this.#people[command.target] as string;
    if (command.do === "remove") return (await call("DELETE", `${path}/members/${target}`)).status;
    if (command.do === "change")
      return (await call("PATCH", `${path}/members/${target}`, { role: command.role })).status;
    const email = `${target}@example.com`;
    const { status, body } = await call("POST", `${path}/invitations`, { email, role: command.role });
    if (status === 201) this.#made.push({ id: body.id, token: new URL(body.link).searchParams.get("token") as string });
    return status;
  }

  /** What each of them sees, and what was written down. */
  async seen() {
    const people = [];
    for (const user of this.#people) {
      const members = await this.#api.call("GET", `/workspaces/${this.#workspace}/members`, { user });
      const invitations = await this.#api.call("GET", `/workspaces/${this.#workspace}/invitations`, { user });
      people.push({ members: rolesIn(members.body?.members), invited: idsIn(invitations.body?.invitations) });
    }
    const sql = `select action, count(*) as "count" from audit_events where outcome = 'done' group by action`;
    const rows = await this.#store.read((tx) => tx.all<{ action: string; count: number }>(sql));
    return { people, audit: Object.fromEntries(rows.map(({ action, count }) => [action, count])) };
  }

  expected(model: Model, auditBefore: Readonly<Record<string, number>>) {
    const roles = this.#people.map((id, one) => [id, model.roles[one]]).filter(([, has]) => has !== null);
    const open = this.#made.filter((_, index) => model.invitations[index]?.state === "open").map(({ id }) => id);
    const audit = { ...auditBefore };
    for (const [action, count] of Object.entries(model.audit)) audit[action] = (audit[action] ?? 0) + count;
    const people = this.#people.map((_, one) => ({
      members: model.acting(one) === null ? null : Object.fromEntries(roles),
      invited: model.manages(one) ? open.toSorted() : null,
    }));
    return { people, audit };
  }
}

function rolesIn(members: { user_id: string; role: Role }[] | undefined) {
  return members ? Object.fromEntries(members.map(({ user_id, role: has }) => [user_id, has])) : null;
}

function idsIn(invitations: { id: string }[] | undefined) {
  return invitations?.map(({ id }) => id).toSorted() ?? null;
}

describeStores("the members of a workspace", (open) => {
  async function serve() {
    const store = await open();
    const clock = systemClock;
    const mail = new Mail({ store, clock, log: silentLog, envelope: new Envelope(TEST_ROOT_KEY), smtp: null });
    const deps = { store, clock, access, accessChanged: () => {}, mail, publicUrl: "https://ci.example.com" };
    const settings = await ServerSettings.open(store, { allow_signup: false, max_concurrent_runs: 20 });
    const operations = { ...deps, settings, version: "1", onLimitsChanged: () => {}, onReopened: () => {} };
    const isActive = "select 1 as found from users where id = ? and status = 'active'";
    const api = await serveApi(
      [...createMemberRoutes(deps), ...createInvitationRoutes(deps), ...createOperationsRoutes(operations)],
      {
        idempotency: new Idempotency(store, clock),
        isGood: async ({ userId }) => (await store.read((tx) => tx.get(isActive, [userId]))) !== undefined,
      },
    );
    onTestFinished(() => api.close());
    return { store, api };
  }

  it("may exactly what their roles say, after any commands; what is refused changes nothing and is not written down as done", async () => {
    const { store, api } = await serve();
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(others, commands, async (rest, plan) => {
        const roles = ["owner" as const, ...rest];
        const world = await World.make(api, store, roles);
        const model = new Model(roles);
        const { audit } = await world.seen();
        for (const command of plan) {
          const status = model.apply(command);
          statuses.add(status);
          expect([command, await world.run(command)]).toEqual([command, status]);
          expect(await world.seen()).toEqual(world.expected(model, audit));
        }
      }),
      { numRuns: CASES },
    );
    expect(statuses.size).toBeGreaterThan(5);
  }, 180_000);
});
