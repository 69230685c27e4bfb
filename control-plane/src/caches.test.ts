import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { ServedPlane } from "./modules/runners/served-plane.fixture.ts";
import { describeStores } from "./store/testing.ts";
import { FilesPlane, type Serve } from "./modules/artifacts/files-plane.fixture.ts";

const serve: Serve = (store, options) => ServedPlane.start(store, options);
const NEXT = "refs/heads/next";
const text = (value: string) => Buffer.from(value);

describeStores("caches", (open) => {
  it("are found by their key, else the newest that begins with the first restore key that any does", async () => {
    const plane = await FilesPlane.start(serve, await open());
    const { token } = await plane.job();
    expect(await plane.cache(token, "npm-c", "npm-")).toBeNull();
    for (const key of ["npm-a", "npm-b", "yarn-a"]) await plane.upload(token, "caches", key, text(key));
    const later = await plane.job();
    expect(await plane.cache(later.token, "npm-a", "npm-")).toMatchObject({ key: "npm-a", exact: true });
    const found = await plane.cache(later.token, "npm-c", "go-", "npm-", "yarn-");
    expect(found).toMatchObject({ key: "npm-b", exact: false });
    const reply = await plane.content(later.token, "caches", found?.id ?? "");
    expect([reply.status, reply.headers.get("content-type"), await reply.text()]).toEqual([
      200,
      "application/octet-stream",
      "npm-b",
    ]);
    expect(await plane.cache(later.token, "npm-c", "npm-a-")).toBeNull();
    expect(await plane.cache(later.token, "npm-%", "n%")).toBeNull();
  });

  it("do not change: the second of a key is refused, also when both were under way", async () => {
    const plane = await FilesPlane.start(serve, await open());
    const [one, other] = [await plane.job(), await plane.job()];
    const begun = await plane.begin(one.token, "caches", "npm", text("one"));
    expect((await plane.upload(other.token, "caches", "npm", text("other"))).status).toBe(200);
    const { upload_id: id } = begun.body;
    await plane.send(one.token, "caches", id, 0, text("one"));
    const exists = { status: 409, body: { code: "cache-exists" } };
    expect(await plane.complete(one.token, "caches", id)).toMatchObject(exists);
    expect(await plane.begin(one.token, "caches", "npm", text("one"))).toMatchObject(exists);
    const found = await plane.cache(one.token, "npm");
    expect(await (await plane.content(one.token, "caches", found?.id ?? "")).text()).toBe("other");
    expect((await plane.usage()).cache_bytes).toBe("other".length);
  });

  it("of a ref are for that ref, those of the default branch for all, and nobody else's project has any", async () => {
    const plane = await FilesPlane.start(serve, await open());
    const main = await plane.job();
    const named = await plane.job({ ref: "refs/heads/main" });
    const next = await plane.job({ ref: NEXT });
    const foreign = await plane.job({ projectId: await plane.served.inside.addProject() });
    await plane.upload(main.token, "caches", "shared", text("main"));
    await plane.upload(next.token, "caches", "own", text("next"));
    await plane.upload(next.token, "caches", "shared-next", text("next"));
    expect(await plane.cache(named.token, "shared")).toMatchObject({ exact: true });
    expect(await plane.cache(next.token, "shared")).toMatchObject({ exact: true });
    expect(await plane.cache(next.token, "x", "shared")).toMatchObject({ key: "shared-next" });
    expect(await plane.cache(main.token, "own", "shared")).toMatchObject({ key: "shared" });
    expect(await plane.cache(foreign.token, "shared", "own")).toBeNull();
    const held = await plane.cache(next.token, "own");
    for (const stranger of [main, foreign]) {
      expect((await plane.content(stranger.token, "caches", held?.id ?? "")).status).toBe(404);
    }
  });

  it("of an untrusted run cannot be saved, whatever ref it names; it may read those of the default branch only", async () => {
    const plane = await FilesPlane.start(serve, await open());
    const main = await plane.job();
    const next = await plane.job({ ref: NEXT });
    for (const ref of ["refs/heads/main", NEXT, "refs/pull/7/head"]) {
      const fork = await plane.job({ untrusted: true, ref });
      const refused = { status: 403, body: { code: "cache-read-only" } };
      expect(await plane.begin(fork.token, "caches", "npm", text("poison"))).toMatchObject(refused);
    }
    expect(await plane.cache(main.token, "npm", "n")).toBeNull();
    await plane.upload(next.token, "caches", "npm-next", text("next"));
    await plane.upload(main.token, "caches", "npm", text("main"));
    const fork = await plane.job({ untrusted: true, ref: NEXT });
    expect(await plane.cache(fork.token, "npm-next")).toBeNull();
    expect(await plane.cache(fork.token, "npm")).toMatchObject({ exact: true });
  });

  it("make room for new ones, the least recently used first", async () => {
    const plane = await FilesPlane.start(serve, await open(), {
      maxWorkspaceCacheBytes: 3_000,
      maxCacheBytes: 2_500,
    });
    const { token } = await plane.job();
    for (const key of ["a", "b", "c"]) await plane.upload(token, "caches", key, randomBytes(1_000));
    // Uses are told apart by the millisecond.
    await pause(2);
    await plane.cache(token, "a");
    expect((await plane.upload(token, "caches", "d", randomBytes(1_500))).status).toBe(200);
    const left = await Promise.all(["a", "b", "c", "d"].map(async (key) => (await plane.cache(token, key))?.key));
    expect(left).toEqual(["a", undefined, undefined, "d"]);
    expect((await plane.usage()).cache_bytes).toBe(2_500);
    await plane.reap(Date.now());
    expect(await plane.files()).toHaveLength(2);
    const tooLarge = await plane.begin(token, "caches", "e", randomBytes(2_501));
    expect(tooLarge).toMatchObject({ status: 413, body: { code: "file-too-large" } });
  });
});
