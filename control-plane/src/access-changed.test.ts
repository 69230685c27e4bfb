import { afterEach, beforeEach, expect, it } from "vitest";
import { serveApp, type ServedApp } from "./http/served-app.fixture.ts";
import { eventsOf } from "./testing/read-sse.ts";

const PASSWORD = "a long enough password";
/** Far less than the minute after which rights are looked up again anyway. */
const AT_ONCE_MS = 15_000;

interface Person {
  readonly id: string;
  /** Of his sign-in. */
  token: string;
}

let app: ServedApp;
let ada: Person;
let bob: Person;
let workspace: string;
let calls = 0;

// biome-ignore lint/suspicious/noExplicitAny: replies of every shape
// oxlint-disable-next-line typescript/no-explicit-any -- replies of every shape
async function call(who: Person | null, method: string, path: string, body?: object): Promise<any> {
  const response = await fetch(app.url + path, {
    method,
    headers: {
      ...(who === null ? {} : { authorization: `Bearer ${who.token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      "idempotency-key": `key-${(calls += 1)}`,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.status === 204 ? null : await response.json();
}

async function signUp(email: string): Promise<Person> {
  const { user, token } = await call(null, "POST", "/auth/signup", { email, password: PASSWORD, name: email });
  return { id: user.id, token };
}

beforeEach(async () => {
  app = await serveApp({ SHIPFOX_ALLOW_SIGNUP: "true" });
  ada = await signUp("ada@example.com");
  bob = await signUp("bob@example.com");
  workspace = (await call(ada, "POST", "/workspaces", { name: "Ours" })).id;
  const invited = { email: "bob@example.com", role: "admin" };
  const { link } = await call(ada, "POST", `/workspaces/${workspace}/invitations`, invited);
  await call(bob, "POST", "/invitations/accept", { token: new URL(link).searchParams.get("token") });
});
afterEach(() => app.close());

/** Opens the stream of the workspace, and waits until it is there. */
async function follow(token: string) {
  const response = await fetch(`${app.url}/workspaces/${workspace}/events/stream`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(AT_ONCE_MS),
  });
  const events = eventsOf(response);
  expect((await events.next()).value?.event).toBe("connected");
  return events;
}

const inWorkspace = () => `/workspaces/${workspace}`;
const manageBob = (verb: string) => call(ada, "POST", `/admin/auth/users/${bob.id}/${verb}`, { reason: "asked for" });

it.each<[what: string, act: () => Promise<unknown>, code: string]>([
  ["was removed", () => call(ada, "DELETE", `${inWorkspace()}/members/${bob.id}`), "forbidden"],
  ["left", () => call(bob, "POST", `${inWorkspace()}/leave`), "forbidden"],
  ["signed out", () => call(bob, "DELETE", `/auth/sessions/${sessionOf(bob)}`), "unauthorized"],
  ["changed the password elsewhere", changePasswordElsewhere, "unauthorized"],
  ["was suspended", () => manageBob("suspend"), "unauthorized"],
  ["was signed out by an administrator", () => manageBob("revoke-sessions"), "unauthorized"],
  [
    "is in a workspace that was suspended",
    () => call(ada, "POST", `/admin/workspaces/${workspace}/suspend`, { reason: "asked for" }),
    "workspace-suspended",
  ],
  ["is in a workspace that was deleted", () => call(ada, "DELETE", inWorkspace()), "workspace-inactive"],
])("ends the streams of somebody who %s, at once", async (_what, act, code) => {
  const events = await follow(bob.token);
  await act();
  const [last] = (await Array.fromAsync(events)).filter(({ event }) => event === "closed");
  expect(JSON.parse(last?.data ?? "{}")).toMatchObject({ code });
});

it("ends the streams of an access token that was revoked, and no others of its owner", async () => {
  const body = { name: "ci", workspace_id: workspace, abilities: ["runs:read"] };
  const mint = () => call(bob, "POST", "/auth/tokens", body);
  const [revoked, kept] = [await mint(), await mint()];
  const [ending, own, other] = [await follow(revoked.raw_token), await follow(bob.token), await follow(kept.raw_token)];
  await call(bob, "DELETE", `/auth/tokens/${revoked.id}`);
  const [last] = (await Array.fromAsync(ending)).filter(({ event }) => event === "closed");
  expect(JSON.parse(last?.data ?? "{}")).toMatchObject({ code: "unauthorized" });
  await tellSomething();
  for (const events of [own, other]) expect((await events.next()).value?.event).toBe("runner.healthy");
});

it("lets the streams of somebody with another role go on, because every role may read", async () => {
  const events = await follow(bob.token);
  await call(ada, "PATCH", `${inWorkspace()}/members/${bob.id}`, { role: "viewer" });
  await tellSomething();
  expect((await events.next()).value?.event).toBe("runner.healthy");
});

async function changePasswordElsewhere(): Promise<void> {
  const { token } = await call(null, "POST", "/auth/login", { email: "bob@example.com", password: PASSWORD });
  const body = { current_password: PASSWORD, new_password: `${PASSWORD}!` };
  await call({ id: bob.id, token }, "POST", "/auth/change-password", body);
}

function sessionOf({ token }: Person): string {
  const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, string>;
  return claims["refreshSessionId"] ?? "";
}

/** An event in the workspace, which every open stream shows. */
async function tellSomething(): Promise<void> {
  await app.store.write(async (tx) => {
    const payload = { runner_id: ada.id };
    const place = { workspaceId: workspace, projectId: null, runId: null };
    tx.record({ ...place, type: "runner.healthy", payload, createdAt: Date.now() });
  });
}
