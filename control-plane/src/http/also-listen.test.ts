import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findFreePort } from "@shipfox/shared/local/ports";
import { parseListenAddress, routesOfMachines } from "./also-listen.ts";
import { type ServedApp, serveApp } from "./served-app.fixture.ts";

describe("a further address, for machines only", () => {
  let app: ServedApp;
  let url: string;
  beforeAll(async () => {
    app = await serveApp();
    const port = await findFreePort();
    await app.listenForMachines({ host: "127.0.0.1", port });
    url = `http://127.0.0.1:${port}`;
  });
  afterAll(() => app.close());

  const call = (method: string, path: string) => {
    const filled = path.replaceAll(/\{\w+\}/g, "0197aaaa-0000-7000-8000-000000000000");
    const body = method === "GET" || method === "DELETE" ? {} : { body: "{}" };
    return fetch(url + filled, { method, headers: { "content-type": "application/json" }, ...body });
  };

  it("answers 404 to every route of users, of documentation, of webhooks and without a credential", async () => {
    const machines = new Set(routesOfMachines(app.routes));
    const others = app.routes.filter((route) => !machines.has(route));
    expect(others.filter(({ credential }) => credential === "user").length).toBeGreaterThan(100);
    for (const { method, path } of others) {
      const reply = await call(method, path);
      expect(`${method} ${path} ${reply.status} ${((await reply.json()) as { code: string }).code}`).toBe(
        `${method} ${path} 404 not-found`,
      );
    }
    for (const path of ["/", "/openapi.json", "/docs", "/app", "/auth/login"])
      expect((await call("GET", path)).status).toBe(404);
  });

  it("asks each route of machines for its token, and says without one whether the server is alive", async () => {
    for (const { method, path, credential } of routesOfMachines(app.routes)) {
      const reply = await call(method, path);
      await reply.arrayBuffer();
      expect(`${method} ${path} ${reply.status}`).toBe(`${method} ${path} ${credential === "none" ? 200 : 401}`);
    }
  });

  it("opens no WebSocket", async () => {
    const failed = await new Promise((resolve) => {
      const socket = new WebSocket(`${url.replace("http", "ws")}/ws`);
      socket.onopen = () => resolve(false);
      socket.onerror = () => resolve(true);
    });
    expect(failed).toBe(true);
  });

  it("is refused when it is taken", async () => {
    const port = Number(new URL(url).port);
    await expect(app.listenForMachines({ host: "127.0.0.1", port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });

  it("does not keep the server from starting while it is not on this host", async () => {
    await expect(app.listenForMachines({ host: "192.0.2.1", port: 1 })).resolves.toBeUndefined();
  });
});

it.each([
  ["10.214.0.1:16101", { host: "10.214.0.1", port: 16_101 }],
  ["[fd00::1]:80", { host: "fd00::1", port: 80 }],
  ["localhost:80", null],
  ["fd00::1:80", null],
  ["10.214.0.1", null],
  ["10.214.0.1:65536", null],
  ["[10.214.0.1]:80", null],
  [":80", null],
])("reads the address %s", (text, address) => {
  expect(parseListenAddress(text)).toEqual(address);
});
