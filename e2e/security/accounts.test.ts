import {
  accessTokensReplySchema,
  createAccessTokenReplySchema,
  createStreamTicketReplySchema,
} from "@shipfox/shared/api/access-tokens";
import { resetLinkReplySchema } from "@shipfox/shared/api/accounts";
import { workspaceSchema } from "@shipfox/shared/api/workspaces";
import { beforeAll, describe, expect, it } from "vitest";
import { type Answer, Api, call, refusalOf } from "../src/api.ts";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { ACCOUNT, Instance } from "../src/instance.ts";
import { registerByHand } from "../src/machine.ts";
import { useStage } from "../src/stage.ts";

const ALL = ["projects:read", "runs:read", "projects:write", "definitions:write", "runs:start", "runs:control"];
const NEW_PASSWORD = "another horse entirely";
/** Attempts of each kind, of which the median counts. */
const TIMED = 9;

describe("accounts and their tokens", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let otherWorkspace: string;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage, {
      env: { SHIPFOX_LOGIN_LIMIT_PER_EMAIL: "40", SHIPFOX_LOGIN_LIMIT_PER_ADDRESS: "0", SHIPFOX_ALLOW_SIGNUP: "true" },
    });
    instance = await Instance.create(stage, plane);
    otherWorkspace = (await instance.api.post(workspaceSchema, "/workspaces", { name: "Other" })).id;
  });

  const mint = (body: object = {}, api = instance.api) =>
    api.post(createAccessTokenReplySchema, "/auth/tokens", {
      name: "attack",
      workspace_id: instance.workspaceId,
      abilities: ALL,
      ...body,
    });
  const cookieOf = (answer: Answer) => answer.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const logIn = (body: object = {}) =>
    call(plane.url, "POST", "/auth/login", { body: { email: ACCOUNT.email, password: ACCOUNT.password, ...body } });
  const refresh = (cookie: string) => call(plane.url, "POST", "/auth/refresh", { headers: { cookie } });

  it(`${attack(2, "in another workspace, by its name and by the ids of its things")}`, async () => {
    const project = await instance.project({});
    const foreign = await mint({ workspace_id: otherWorkspace });
    const token = new Api(plane.url, foreign.raw_token);
    const tries = [
      await token.call("GET", `/projects?workspace_id=${instance.workspaceId}`),
      await token.call("GET", `/projects/${project.id}`),
      await token.call("GET", `/workspaces/${instance.workspaceId}/runners`),
      await token.call("GET", `/workspaces/${instance.workspaceId}/secrets`),
      await token.call("POST", "/definitions", { body: { project_id: project.id, yaml: "name: x" } }),
      await token.call("POST", "/auth/stream-tokens", { body: { path: "/ws", workspace_id: instance.workspaceId } }),
    ];
    expect(tries.map(({ status }) => [403, 404].includes(status))).toEqual(tries.map(() => true));
    expect((await token.call("GET", `/projects?workspace_id=${otherWorkspace}`)).status).toBe(200);
    expect(JSON.stringify((await token.call("GET", "/workspaces")).body)).not.toContain(instance.workspaceId);
  });

  it(`${attack(2, "beyond its abilities, to make others, and for the account of its owner")}`, async () => {
    const { id, raw_token: raw } = await mint({ abilities: ["runs:read"] });
    const token = new Api(plane.url, raw);
    const more = { name: "more", workspace_id: instance.workspaceId, abilities: ALL };
    const tries = [
      await token.call("POST", "/auth/tokens", { body: more }),
      await token.call("GET", "/auth/tokens"),
      await token.call("DELETE", `/auth/tokens/${id}`),
      await token.call("POST", "/auth/change-password", {
        body: { current_password: ACCOUNT.password, new_password: NEW_PASSWORD },
      }),
      await token.call("PATCH", "/auth/me", { body: { name: "Mallory" } }),
      await token.call("GET", "/auth/sessions"),
      await token.call("POST", "/admin/auth/password-reset-links", { body: { email: ACCOUNT.email } }),
      await token.call("POST", "/workspaces", { body: { name: "Mine" } }),
      await token.call("PUT", `/workspaces/${instance.workspaceId}/secrets/KEY`, { body: { value: "x" } }),
    ];
    expect(tries.map((answer) => refusalOf(answer).code)).toEqual(tries.map(() => "forbidden"));
    const sensitive = { ...more, abilities: ["secrets:write"] };
    expect(await instance.api.refused("POST", "/auth/tokens", { body: sensitive })).toMatchObject({
      code: "password-required",
    });
    const stranger = await new Api(plane.url).call("POST", "/auth/signup", {
      body: { ...ACCOUNT, email: "mallory@example.com" },
    });
    const mallory = new Api(plane.url, (stranger.body as { token: string }).token);
    expect((await mallory.refused("POST", "/auth/tokens", { body: more })).code).toBe("forbidden");
    expect((await mallory.refused("DELETE", `/auth/tokens/${id}`)).code).toBe("not-found");
    const { tokens } = await mallory.get(accessTokensReplySchema, "/auth/tokens");
    expect(tokens).toEqual([]);
  });

  it(`${attack(2, "after it was revoked, and one kind in the place of another")}`, async () => {
    const { id, raw_token: raw } = await mint();
    const token = new Api(plane.url, raw);
    expect((await token.call("GET", "/auth/me")).status).toBe(200);
    expect((await instance.api.call("DELETE", `/auth/tokens/${id}`)).status).toBe(204);
    expect((await token.call("GET", "/auth/me")).status).toBe(401);
    const once = await instance.registrationToken({ max_uses: 1 });
    await registerByHand(plane.url, once, ["linux"]);
    const register = { body: { labels: ["linux"], persistent: true } };
    const again = await call(plane.url, "POST", "/runners/register", { ...register, token: once });
    expect(refusalOf(again).code).toBe("registration-token-exhausted");
    const live = await mint();
    const misused = [
      await call(plane.url, "POST", "/runners/register", { ...register, token: live.raw_token }),
      await call(plane.url, "POST", "/runners/jobs/request", { token: live.raw_token }),
      await call(plane.url, "GET", "/auth/me", { token: once }),
      await call(plane.url, "GET", "/auth/me", { token: live.raw_token.slice(0, -1) }),
      await call(plane.url, "GET", "/auth/me", { token: `${live.raw_token}A` }),
    ];
    expect(misused.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401]);
  });

  it(`${attack(27, "of the refresh token")}`, async () => {
    const first = cookieOf(await logIn());
    const second = cookieOf(await refresh(first));
    const third = cookieOf(await refresh(second));
    const bystander = cookieOf(await logIn());
    expect((await refresh(first)).status).toBe(401);
    expect([(await refresh(third)).status, (await refresh(bystander)).status]).toEqual([401, 401]);
    await instance.signInAgain();
  });

  it(`${attack(27, "of the reset link")}`, async () => {
    const { reset_url } = await instance.api.post(resetLinkReplySchema, "/admin/auth/password-reset-links", {
      email: ACCOUNT.email,
    });
    const token = new URL(reset_url ?? "").searchParams.get("token");
    const use = (password: string) =>
      call(plane.url, "POST", "/auth/password/reset/confirm", { body: { token, new_password: password } });
    const both = await Promise.all([use(ACCOUNT.password), use(NEW_PASSWORD)]);
    expect(both.map(({ status }) => status).sort((left, right) => left - right)).toEqual([200, 410]);
    expect(refusalOf(await use(NEW_PASSWORD)).code).toBe("token-invalid");
    // Whichever came first: back to the password that the other tests know.
    if (both[1]?.status === 200) {
      const body = { current_password: NEW_PASSWORD, new_password: ACCOUNT.password };
      const { token: session } = both[1].body as { token: string };
      await call(plane.url, "POST", "/auth/change-password", { token: session, body });
    }
    await instance.signInAgain();
  });

  it(`${attack(27, "of the stream ticket, which is also no access token")}`, async () => {
    const stream = (workspaceId: string) => `/workspaces/${workspaceId}/events/stream`;
    const path = stream(instance.workspaceId);
    const ticketFor = async (body: object) =>
      (await instance.api.post(createStreamTicketReplySchema, "/auth/stream-tokens", { path, ...body })).ticket;
    /** The status of a stream, which is not read any further. */
    const open = async (where: string, ticket: string) => {
      const hangUp = new AbortController();
      const { status } = await fetch(`${plane.url}${where}?ticket=${ticket}`, { signal: hangUp.signal });
      hangUp.abort();
      return status;
    };
    const good = await ticketFor({ workspace_id: instance.workspaceId });
    expect([await open(path, good), await open(path, good)]).toEqual([200, 401]);
    const swapped = await ticketFor({});
    expect([await open(stream(otherWorkspace), swapped), await open(path, swapped)]).toEqual([401, 401]);
    const ofOther = await ticketFor({ workspace_id: otherWorkspace });
    expect(await open(path, ofOther)).toBe(403);
    const unused = await ticketFor({});
    expect((await call(plane.url, "GET", "/auth/me", { token: unused })).status).toBe(401);
  });

  it(`${attack(28, "by answers")}`, async () => {
    const known = await logIn({ password: "wrong" });
    const unknown = await logIn({ email: "nobody@example.com", password: "wrong" });
    expect([unknown.status, unknown.text]).toEqual([known.status, known.text]);
    const resets = [];
    for (const email of [ACCOUNT.email, "nobody@example.com"]) {
      resets.push(await call(plane.url, "POST", "/auth/password/reset", { body: { email } }));
    }
    expect(resets.map(({ status, text }) => [status, text])).toEqual([
      [204, ""],
      [204, ""],
    ]);
  });

  it(`${attack(28, "by time")}`, async () => {
    const time = async (email: string) => {
      const startedAt = performance.now();
      expect((await logIn({ email, password: "wrong" })).status).toBe(401);
      return performance.now() - startedAt;
    };
    const known: number[] = [];
    const unknown: number[] = [];
    for (let round = 0; round < TIMED; round += 1) {
      known.push(await time(ACCOUNT.email));
      unknown.push(await time(`nobody-${round}@example.com`));
    }
    const median = (samples: number[]) => samples.toSorted((left, right) => left - right)[(TIMED - 1) / 2] ?? 0;
    // Without a hash an answer takes a tenth; the bound leaves room for a busy machine.
    expect(median(unknown)).toBeGreaterThan(median(known) / 3);
  });

  it(`${attack(28, "over many connections at once")}`, async () => {
    const email = "victim@example.com";
    await new Api(plane.url).call("POST", "/auth/signup", { body: { ...ACCOUNT, email } });
    const tries = await Promise.all(Array.from({ length: 60 }, () => logIn({ email, password: "wrong" })));
    const refused = tries.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(20);
    expect(Number(refused[0]?.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await logIn({ email })).status).toBe(429);
  });

  it.each([
    "ada@example.com\r\nBcc: mallory@example.com",
    "ada@example.com,mallory@example.com",
    "ada@example.com mallory@example.com",
    "Ada <ada@example.com>",
    "<ada@example.com>",
    "ada@example.com\u0000",
    "ada@[127.0.0.1]\n",
    `${"a".repeat(300)}@example.com`,
  ])(`${attack(29, "an address such as %j")}`, async (email) => {
    const password = ACCOUNT.password;
    const answers = [
      await call(plane.url, "POST", "/auth/signup", { body: { email, password, name: "Eve" } }),
      await call(plane.url, "POST", "/auth/password/reset", { body: { email } }),
      await instance.api.call("POST", "/admin/auth/password-reset-links", { body: { email } }),
    ];
    expect(answers.map((answer) => refusalOf(answer).code)).toEqual(answers.map(() => "validation-error"));
  });

  it(`${attack(29, "a name with line ends")}`, async () => {
    const body = { ...ACCOUNT, email: "eve@example.com", name: "Eve\r\nBcc: mallory@example.com" };
    expect(refusalOf(await call(plane.url, "POST", "/auth/signup", { body })).code).toBe("validation-error");
  });
});
