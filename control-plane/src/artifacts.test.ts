import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { ServedPlane } from "./modules/runners/served-plane.fixture.ts";
import { describeStores } from "./store/testing.ts";
import { digestOf, FilesPlane, type Serve } from "./modules/artifacts/files-plane.fixture.ts";

const serve: Serve = (store, options) => ServedPlane.start(store, options);
const DAY_MS = 24 * 3_600_000;
const content = randomBytes(100_000);

describeStores("artifacts of a job", (open) => {
  it("are seen when they are complete, by the jobs that need theirs, with the bytes that were sent", async () => {
    const plane = await FilesPlane.start(serve, await open());
    const job = await plane.job();
    const begun = await plane.begin(job.token, "artifacts", "dist", content);
    expect(begun).toMatchObject({ status: 201, body: { offset: 0, max_part_bytes: 8 * 1024 * 1024 } });
    const { upload_id: id } = begun.body;
    await plane.send(job.token, "artifacts", id, 0, content);
    await plane.upload(job.token, "artifacts", "report", Buffer.from("all green"));

    const token = await plane.nextJob(job);
    expect(await plane.needed(token, "build", "dist")).toMatchObject({
      status: 404,
      body: { code: "artifact-not-found" },
    });
    expect(await plane.needed(token, "test", "report")).toMatchObject({ status: 404 });
    const { body } = await plane.needed(token, "build", "report");
    expect(body).toMatchObject({ name: "report", size: 9, sha256: digestOf(Buffer.from("all green")) });
    const whole = await plane.content(token, "artifacts", body.id);
    expect([whole.status, await whole.text()]).toEqual([200, "all green"]);
    const part = await plane.content(token, "artifacts", body.id, { range: "bytes=4-" });
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([206, "bytes 4-8/9", "green"]);

    const stranger = await plane.job();
    expect((await plane.content(stranger.token, "artifacts", body.id)).status).toBe(404);
  });

  it("arrive in parts at offsets: a repetition is acknowledged, a gap is told, and an upload that broke off goes on", async () => {
    const plane = await FilesPlane.start(serve, await open());
    const { token } = await plane.job();
    const { upload_id: id } = (await plane.begin(token, "artifacts", "dist", content)).body;
    const half = content.subarray(0, 50_000);
    const send = (offset: number, part: Buffer) => plane.send(token, "artifacts", id, offset, part);
    expect(await send(0, half)).toMatchObject({ status: 200, body: { committed_length: 50_000 } });
    expect(await send(0, half)).toMatchObject({ status: 200, body: { committed_length: 50_000 } });
    const gap = { status: 409, body: { code: "offset-gap", details: { committed_length: 50_000 } } };
    expect(await send(60_000, half.subarray(0, 10))).toMatchObject(gap);
    expect(await send(40_000, content.subarray(40_000, 60_000))).toMatchObject(gap);
    expect(await plane.complete(token, "artifacts", id)).toMatchObject(gap);
    expect(await send(50_000, Buffer.concat([half, half]))).toMatchObject({
      status: 422,
      body: { code: "upload-mismatch" },
    });

    const again = await plane.begin(token, "artifacts", "dist", content);
    expect(again).toMatchObject({ status: 201, body: { upload_id: id, offset: 50_000 } });
    expect(await plane.begin(token, "artifacts", "dist", half)).toMatchObject({
      status: 409,
      body: { code: "artifact-exists" },
    });
    await send(50_000, content.subarray(50_000));
    const done = await plane.complete(token, "artifacts", id);
    expect(done).toMatchObject({ status: 200, body: { id, sha256: digestOf(content) } });
    expect(await plane.complete(token, "artifacts", id)).toEqual({ ...done, headers: expect.anything() });
    expect(await plane.begin(token, "artifacts", "dist", content)).toMatchObject({
      status: 409,
      body: { code: "artifact-exists" },
    });
    expect(await plane.usage()).toEqual({ artifact_bytes: 100_000, cache_bytes: 0 });
  });

  it("are refused when their bytes are not the announced ones, and leave nothing", async () => {
    const plane = await FilesPlane.start(serve, await open());
    const { token } = await plane.job();
    const { upload_id: id } = (await plane.begin(token, "artifacts", "dist", content)).body;
    await plane.send(token, "artifacts", id, 0, randomBytes(content.length));
    expect(await plane.complete(token, "artifacts", id)).toMatchObject({
      status: 422,
      body: { code: "upload-mismatch" },
    });
    expect(await plane.complete(token, "artifacts", id)).toMatchObject({
      status: 404,
      body: { code: "upload-not-found" },
    });
    await plane.reap(Date.now());
    expect(await plane.files()).toEqual([]);
    expect(await plane.usage()).toEqual({ artifact_bytes: 0, cache_bytes: 0 });
    expect((await plane.upload(token, "artifacts", "dist", content)).status).toBe(200);
  });

  it("are the job's own: nobody else sends to its uploads, and a job that has ended sends nothing", async () => {
    const plane = await FilesPlane.start(serve, await open());
    const job = await plane.job();
    const other = await plane.job();
    const { upload_id: id } = (await plane.begin(job.token, "artifacts", "dist", content)).body;
    const refused = { status: 404, body: { code: "upload-not-found" } };
    expect(await plane.send(other.token, "artifacts", id, 0, content)).toMatchObject(refused);
    expect(await plane.send(job.token, "caches", id, 0, content)).toMatchObject(refused);
    expect(await plane.complete(other.token, "artifacts", id)).toMatchObject(refused);
    await plane.served.inside.finish(job.executionId);
    for (const call of [
      plane.begin(job.token, "artifacts", "late", content),
      plane.send(job.token, "artifacts", id, 0, content),
      plane.complete(job.token, "artifacts", id),
    ]) {
      expect(await call).toMatchObject({ status: 404, body: { code: "lease-not-active" } });
    }
  });

  it("stay within the limits for one, for a run and for the workspace, which tells before anything is sent", async () => {
    const plane = await FilesPlane.start(serve, await open(), {
      maxArtifactBytes: 120_000,
      maxRunArtifactBytes: 150_000,
      maxWorkspaceArtifactBytes: 250_000,
    });
    const first = await plane.job();
    const big = randomBytes(120_001);
    expect(await plane.begin(first.token, "artifacts", "big", big)).toMatchObject({
      status: 413,
      body: { code: "file-too-large" },
    });
    expect((await plane.upload(first.token, "artifacts", "a", content)).status).toBe(200);
    const over = { status: 413, body: { code: "storage-quota-exceeded" } };
    expect(await plane.begin(first.token, "artifacts", "b", content)).toMatchObject(over);
    const second = await plane.job();
    expect((await plane.begin(second.token, "artifacts", "a", content)).status).toBe(201);
    const third = await plane.job();
    expect(await plane.begin(third.token, "artifacts", "a", content)).toMatchObject(over);
    expect(await plane.usage()).toEqual({ artifact_bytes: 200_000, cache_bytes: 0 });
  });

  it("expire when their time is over, and an upload that nobody completes is given up after a day", async () => {
    const plane = await FilesPlane.start(serve, await open());
    const { token } = await plane.job();
    const now = Date.now();
    await plane.upload(token, "artifacts", "short", content, { expires_in: 60 });
    await plane.upload(token, "artifacts", "long", content);
    const { upload_id: id } = (await plane.begin(token, "artifacts", "broken", content)).body;
    await plane.send(token, "artifacts", id, 0, content.subarray(0, 10));
    expect(await plane.files()).toHaveLength(3);
    expect(await plane.reap(now)).toBeGreaterThan(now);
    expect(await plane.files()).toHaveLength(3);
    await plane.reap(now + 120_000);
    expect(await plane.files()).toHaveLength(2);
    await plane.reap(now + 2 * DAY_MS);
    expect(await plane.files()).toHaveLength(1);
    expect(await plane.usage()).toEqual({ artifact_bytes: 100_000, cache_bytes: 0 });
    expect(await plane.complete(token, "artifacts", id)).toMatchObject({
      status: 404,
      body: { code: "upload-not-found" },
    });
    await plane.reap(now + 31 * DAY_MS);
    expect([await plane.files(), await plane.reap(now + 31 * DAY_MS)]).toEqual([[], null]);
  });

  it("go with their workspace", async () => {
    const plane = await FilesPlane.start(serve, await open());
    const { token } = await plane.job();
    for (let count = 0; count < 20; count += 1) await plane.upload(token, "artifacts", `a${count}`, Buffer.from("x"));
    const now = Date.now();
    expect([await plane.removeAll(now), await plane.removeAll(now), await plane.removeAll(now)]).toEqual([
      true,
      true,
      false,
    ]);
    expect([await plane.files(), (await plane.usage()).artifact_bytes]).toEqual([[], 0]);
  });
});
