import { afterEach, describe, expect, it, vi } from "vitest";
import { type Api, serveApi, silentLog } from "../testing/api.ts";
import { createHomeRoutes } from "./home-routes.ts";

describe("probes", () => {
  let api: Api;
  const serve = async (database: () => Promise<void>) => {
    const checks = { database, other: async () => {} };
    api = await serveApi(
      createHomeRoutes({ needsSetup: async () => false, checks, publicUrl: "https://ci.example.com", log: silentLog }),
    );
  };
  afterEach(() => api.close());
  afterEach(() => vi.useRealTimers());

  it("are told that the process lives, whatever else is wrong", async () => {
    let asked = 0;
    await serve(() => {
      asked += 1;
      return Promise.reject(new Error("gone"));
    });
    for (const path of ["/health", "/healthz"]) {
      expect(await api.call("GET", path)).toMatchObject({ status: 200, body: { status: "ok", checks: {} } });
      expect(await api.call("HEAD", path)).toMatchObject({ status: 200, body: null });
    }
    expect(asked).toBe(0);
  });

  it("are told that the server can work while every check passes, and by name what does not", async () => {
    let isGood = true;
    await serve(() => (isGood ? Promise.resolve() : Promise.reject(new Error("password of db.internal is secret"))));
    const good = await api.call("GET", "/readyz");
    expect([good.status, good.body]).toEqual([200, { status: "ok", checks: { database: "ok", other: "ok" } }]);
    isGood = false;
    const bad = await api.call("GET", "/readyz");
    expect([bad.status, bad.body]).toEqual([503, { status: "error", checks: { database: "error", other: "ok" } }]);
    expect(await api.call("HEAD", "/readyz")).toMatchObject({ status: 503, body: null });
  });

  it("are answered when a check hangs", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const asked = Promise.withResolvers<void>();
    await serve(() => {
      asked.resolve();
      return new Promise(() => {});
    });
    const answer = api.call("GET", "/readyz");
    await asked.promise;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await answer).toMatchObject({ status: 503, body: { checks: { database: "error", other: "ok" } } });
  });
});
