import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newToken } from "@shipfox/shared/tokens";
import type { AccessLine } from "./access-log.ts";
import { type ServedApp, serveApp } from "./served-app.fixture.ts";
import { buildWorld, type World } from "./world.fixture.ts";

const CLIENT = "203.0.113.9";

describe("the access log", () => {
  const lines: AccessLine[] = [];
  let app: ServedApp;
  let world: World;
  beforeAll(async () => {
    const env = { SHIPFOX_TRUST_PROXY: "127.0.0.0/8", SHIPFOX_GIT_ALLOW_FILE: "true" };
    app = await serveApp(env, { writeAccess: (line) => lines.push(line) });
    world = await buildWorld(app);
  }, 60_000);
  afterAll(async () => {
    await world.close();
    await app.close();
  });

  /** The lines that `act` makes, once there are so many. */
  async function linesOf(act: () => Promise<unknown>, count: number): Promise<AccessLine[]> {
    const before = lines.length;
    await act();
    await expect.poll(() => lines.length - before).toBe(count);
    return lines.slice(before);
  }
  const get =
    (path: string, headers: Record<string, string> = {}) =>
    async () =>
      (await fetch(app.url + path, { headers })).arrayBuffer();

  it("has a line for each request: what was asked, how it went, who asked, from where behind a proxy", async () => {
    const [line] = await linesOf(
      get("/auth/me?x=1", {
        authorization: `Bearer ${world.bearers.user}`,
        "x-forwarded-for": `198.51.100.1, ${CLIENT}`,
        "x-request-id": "mine-1",
      }),
      1,
    );
    expect(line).toEqual({
      request_id: "mine-1",
      method: "GET",
      route: "/auth/me",
      status: 200,
      duration_ms: expect.any(Number),
      bytes: expect.any(Number),
      actor_kind: "user",
      actor_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      remote_address: CLIENT,
    });
    expect(line?.bytes).toBeGreaterThan(200);
  });

  it("names the template of a path, never the path, and nobody where nobody proved who he is", async () => {
    const anonymous = { actor_kind: null, actor_id: null };
    expect(await linesOf(get("/workflows/runs/0197aaaa-0000-7000-8000-000000000000"), 1)).toMatchObject([
      { ...anonymous, route: "/workflows/runs/{id}", status: 401 },
    ]);
    expect(await linesOf(get("/nowhere/at/all"), 1)).toMatchObject([{ ...anonymous, route: "unknown", status: 404 }]);
    const preflight = () =>
      fetch(`${app.url}/projects`, { method: "OPTIONS", headers: { origin: "https://x.example" } });
    expect(await linesOf(preflight, 1)).toMatchObject([{ ...anonymous, method: "OPTIONS" }]);
  });

  it("tells of machines by what is known of them without their token", async () => {
    const kinds = new Map(lines.map(({ actor_kind: kind, actor_id: id }) => [kind, id]));
    expect([...kinds.keys()].map(String).toSorted()).toEqual(
      ["job-execution", "null", "provisioner-token", "registration-token", "runner-session", "user"].toSorted(),
    );
    expect(kinds.get("provisioner-token")).toMatch(/^sf_pt_.{6}$/);
  });

  it("has requests that their client gave up, and WebSockets when they are over", async () => {
    const { port } = new URL(app.url);
    const hangUp = () =>
      new Promise<void>((resolve) => {
        const socket = connect(Number(port), "127.0.0.1", () => {
          const post = `POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`;
          socket.write(post, () => setTimeout(() => socket.destroy(), 100));
        }).once("close", () => resolve());
      });
    expect(await linesOf(hangUp, 1)).toMatchObject([{ route: "/auth/login", actor_kind: null }]);
    const open = () =>
      new Promise<void>((resolve) => {
        const socket = new WebSocket(`${app.url.replace("http", "ws")}/ws?ticket=none`);
        socket.onopen = () => socket.close();
        socket.onclose = () => resolve();
      });
    expect(await linesOf(open, 1)).toMatchObject([{ method: "GET", route: "/ws", status: 101, actor_kind: null }]);
  });

  it("holds no credential, no query, no body, no header and no raw path, wherever a client puts them", async () => {
    const secrets = ["user", "registration", "runner-session", "lease", "provisioner"] as const;
    const canary = "canary-0197aaaa";
    const misplaced = newToken("pat");
    const everywhere = {
      authorization: `Bearer ${misplaced}`,
      cookie: `a=${canary}`,
      referer: `https://${canary}.example`,
      "user-agent": canary,
      "x-request-id": misplaced,
      "x-forwarded-for": canary,
    };
    const body = JSON.stringify({ email: `${canary}@example.com`, password: canary });
    const login = () =>
      fetch(`${app.url}/auth/login?token=${canary}`, {
        method: "POST",
        headers: { ...everywhere, "content-type": "application/json" },
        body,
      });
    await linesOf(login, 1);
    await linesOf(get(`/${canary}?a=${canary}`, everywhere), 1);
    await linesOf(get(`/workflows/runs/${canary}/events/stream?ticket=${misplaced}`), 1);
    await linesOf(get(`/secrets/${misplaced}`, { authorization: canary }), 1);
    const text = JSON.stringify(lines);
    const found = [canary, misplaced, "correct horse battery", ...secrets.map((kind) => world.bearers[kind] ?? kind)];
    expect(found.filter((secret) => text.includes(secret))).toEqual([]);
    const fields = "request_id method route status duration_ms bytes actor_kind actor_id remote_address"
      .split(" ")
      .toSorted();
    for (const line of lines) expect(Object.keys(line).toSorted()).toEqual(fields);
  });
});
