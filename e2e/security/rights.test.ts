import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Api, call } from "../src/api.ts";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { Instance } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";
import { WallClock } from "../src/wall-clock.ts";

const PASSWORD = "a long enough password";
/** Longer than the access token of a sign-in lives. */
const LATER = "+16m";
/** Far less than the minute after which rights are looked up again anyway. */
const AT_ONCE_MS = 20_000;

describe("rights that have ended", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let clock: WallClock;
  let people = 0;

  beforeAll(async () => {
    clock = await WallClock.create(stage);
    plane = await ControlPlane.start(stage, { env: { ...clock.env, SHIPFOX_ALLOW_SIGNUP: "true" } });
    instance = await Instance.create(stage, plane);
  });

  beforeEach(async () => {
    await clock.jumpTo("+0");
    await instance.signInAgain();
  });

  const inWorkspace = () => `/workspaces/${instance.workspaceId}`;

  /** Somebody new, who came by an invitation. */
  async function join(role: "owner" | "viewer") {
    const { workspaceId } = instance;
    const email = `person${(people += 1)}@example.com`;
    const { token } = await new Api(plane.url).client.auth.signUp({ email, password: PASSWORD, name: "Bob" });
    const api = new Api(plane.url, token);
    const { link } = await instance.api.client.invitations.create({ workspaceId, email, role });
    await api.client.invitations.accept({ token: new URL(link ?? "").searchParams.get("token") ?? "" });
    return { api, userId: (await api.client.auth.me()).user.id };
  }

  async function mint(api: Api, abilities: Parameters<Api["client"]["accessTokens"]["create"]>[0]["abilities"]) {
    const body = { name: "attack", workspace_id: instance.workspaceId, abilities, current_password: PASSWORD };
    const { id, raw_token: raw } = await api.client.accessTokens.create(body);
    return { id, api: new Api(plane.url, raw) };
  }

  it(`${attack(30, "the token of a sign-in, and a personal one")}`, async () => {
    const { api } = await join("viewer");
    const token = await api.client.accessTokens.create({
      name: "short",
      workspace_id: instance.workspaceId,
      abilities: ["projects:read"],
      ttl_seconds: 600,
    });
    const tries = () =>
      Promise.all(
        [api.token, token.raw_token].flatMap((bearer) =>
          ["/auth/me", `/projects?workspace_id=${instance.workspaceId}`, `${inWorkspace()}/events/stream`].map(
            async (path) => (await call(plane.url, "GET", path, { token: bearer, limitMs: AT_ONCE_MS })).status,
          ),
        ),
      );
    await clock.jumpTo(LATER);
    expect(await tries()).toEqual([401, 401, 401, 401, 401, 401]);
  });

  it(`${attack(31, "the token of a sign-in, and a personal one")}`, async () => {
    const { api, userId } = await join("owner");
    const personal = await mint(api, ["members:manage", "secrets:write", "settings:write", "projects:read"]);
    const body = { workspaceId: instance.workspaceId, userId, role: "viewer" } as const;
    const before = await api.client.members.list({ workspaceId: instance.workspaceId });
    await instance.api.client.members.update(body);
    for (const fallen of [api, personal.api]) {
      const tries = [
        await fallen.refused("POST", `${inWorkspace()}/invitations`, { body: { email: "mallory@example.com" } }),
        await fallen.refused("PATCH", `${inWorkspace()}/members/${userId}`, { body: { role: "owner" } }),
        await fallen.refused("PUT", `${inWorkspace()}/secrets/KEY`, { body: { value: "x" } }),
        await fallen.refused("PATCH", inWorkspace(), { body: { name: "Mine" } }),
        await fallen.refused("DELETE", inWorkspace()),
      ];
      expect(tries.map(({ code }) => code)).toEqual(tries.map(() => "forbidden"));
      expect((await fallen.call("GET", `${inWorkspace()}/members`)).status).toBe(200);
    }
    const after = await instance.api.client.members.list({ workspaceId: instance.workspaceId });
    expect(after.members.map(({ user_id }) => user_id)).toEqual(before.members.map(({ user_id }) => user_id));
    expect(after.members.find((member) => member.user_id === userId)?.role).toBe("viewer");
  });

  /** All that the stream brings until the server ends it. */
  async function readToEnd(api: Api): Promise<{ opened: Promise<void>; text: Promise<string> }> {
    const opened = Promise.withResolvers<void>();
    const response = await fetch(`${plane.url}${inWorkspace()}/events/stream`, {
      headers: { authorization: `Bearer ${api.token}` },
      signal: AbortSignal.timeout(AT_ONCE_MS),
    });
    const read = async () => {
      let text = "";
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += chunk;
        if (text.includes("event: connected")) opened.resolve();
      }
      return text;
    };
    return { opened: opened.promise, text: read() };
  }

  /** What a WebSocket with one subscription is told until the server closes it, or ends the subscription. */
  async function subscribe(api: Api): Promise<{ opened: Promise<void>; ended: Promise<string>; close: () => void }> {
    const { ticket } = await api.client.accessTokens.createStreamTicket({ path: "/ws" });
    const opened = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<string>();
    const socket = new WebSocket(`${plane.url.replace("http", "ws")}/ws`);
    const limit = setTimeout(() => socket.close(), AT_ONCE_MS);
    socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "auth", ticket })));
    socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data as string) as { type: string; code?: string };
      if (message.type === "authenticated")
        socket.send(JSON.stringify({ type: "subscribe", channel: `workspace:${instance.workspaceId}` }));
      if (message.type === "subscribed") opened.resolve();
      if (message.type === "error") ended.resolve(message.code ?? "");
    });
    socket.addEventListener("close", ({ code }) => {
      clearTimeout(limit);
      ended.resolve(`closed with ${code}`);
    });
    return { opened: opened.promise, ended: ended.promise, close: () => socket.close() };
  }

  it.each([
    { whose: "a member who was removed", isToken: false, code: "forbidden" },
    { whose: "a personal access token that was revoked", isToken: true, code: "unauthorized" },
  ])(`${attack(32, "$whose")}`, async ({ isToken, code }) => {
    const { api, userId } = await join("viewer");
    const personal = isToken ? await mint(api, ["runs:read"]) : null;
    const reader = personal?.api ?? api;
    const [stream, socket] = [await readToEnd(reader), await subscribe(reader)];
    await Promise.all([stream.opened, socket.opened]);
    if (personal) await api.client.accessTokens.revoke({ tokenId: personal.id });
    else await instance.api.client.members.remove({ workspaceId: instance.workspaceId, userId });
    const [told, end] = await Promise.all([stream.text, socket.ended]);
    expect(told).toMatch(new RegExp(`event: closed\\ndata: .*"code":"${code}"`));
    expect(end).toBe(code);
    socket.close();
  });
});
