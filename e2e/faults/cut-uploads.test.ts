import { createHash, randomBytes } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { call } from "../src/api.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { fault } from "../src/fault.ts";
import { HandRunner } from "../src/hand-runner.ts";
import { HttpProxy } from "../src/http-proxy.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, workflow } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";

const MEBIBYTE = 1024 * 1024;
const SIZE = 17 * MEBIBYTE;
/** Of a file in parts of 8 MiB. */
const LAST_PART = /^\/runs\/jobs\/current\/artifacts\/[^/]+\?offset=16777216$/;
const COMPLETE = /^\/runs\/jobs\/current\/artifacts\/[^/]+\/complete$/;

const UPLOADING = workflow(
  "Uploading",
  `  job:
    checkout: false
    artifacts: { upload: [{ name: big, paths: [big] }] }
    steps:
      - run: head -c ${SIZE} /dev/urandom > big; sha256sum big
`,
);
const BY_HAND = workflow("By hand", "  job:\n    runner: hand\n    checkout: false\n    steps: [{ run: 'true' }]\n");

describe("uploads are cut", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let proxy: HttpProxy;
  let project: ProjectHandle;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    proxy = await HttpProxy.start(stage, plane.url);
    project = await instance.project({ "uploading.yml": UPLOADING, "hand.yml": BY_HAND });
    await instance.runner({ apiUrl: proxy.url });
  });

  const artifactsOf = async (runId: string) => (await instance.api.client.artifacts.list({ id: runId })).artifacts;

  async function expectWhole(runId: string): Promise<void> {
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    expect(jobOf(run, "job").job_executions).toHaveLength(1);
    const [artifact, ...more] = await artifactsOf(runId);
    expect(more).toEqual([]);
    const download = await instance.api.client.artifacts.download({ artifactId: artifact?.id ?? "" });
    const hash = createHash("sha256").update(Buffer.from(await download.arrayBuffer()));
    expect(hash.digest("hex")).toBe(artifact?.sha256);
  }

  it(`${fault(44, "the connection breaks in the last part, its answer and the completion's are lost")}`, async () => {
    const answered = proxy.rule({ path: COMPLETE, trouble: { kind: "lose-answer" }, times: 1 });
    const lostAnswer = proxy.rule({ path: LAST_PART, trouble: { kind: "lose-answer" }, times: 1 });
    const lost = proxy.rule({ path: LAST_PART, trouble: { kind: "lose-request" }, times: 2 });
    const runId = await instance.fire(project, "Uploading");
    await expectWhole(runId);
    expect([lost.met.length, lostAnswer.met.length, answered.met.length]).toEqual([2, 1, 1]);
    for (const rule of [answered, lostAnswer, lost]) rule.end();
  });

  it(`${fault(44, "the control plane is killed before the last part, and goes on from the part before")}`, async () => {
    const held = proxy.rule({
      path: LAST_PART,
      trouble: { kind: "answer", status: 503, body: () => ({ code: "overloaded" }) },
    });
    const first = proxy.rule({ path: /artifacts\/[^/]+\?offset=0$/, trouble: { kind: "watch" } });
    const runId = await instance.fire(project, "Uploading");
    await expect.poll(() => held.met.length).toBeGreaterThan(0);
    await plane.kill9();
    await plane.restart();
    expect(await artifactsOf(runId)).toEqual([]);
    held.end();
    await expectWhole(runId);
    expect(first.met).toHaveLength(1);
    first.end();
  });

  it(`${fault(44, "the runner goes away with the last byte unsent")}`, async () => {
    const runner = await HandRunner.register(plane.url, await instance.registrationToken(), ["hand"]);
    const runId = await instance.fire(project, "By hand");
    const { lease_token: token } = await runner.claim();
    const content = randomBytes(100_000);
    const sha256 = createHash("sha256").update(content).digest("hex");
    const send = (method: string, path: string, body?: unknown) =>
      call(plane.url, method, `/runs/jobs/current/artifacts${path}`, {
        token,
        ...(body === undefined ? {} : { body }),
        ...(Buffer.isBuffer(body) ? { headers: { "content-type": "application/octet-stream" } } : {}),
      });
    const begun = await send("POST", "", { name: "dist", size: content.length, sha256 });
    const { upload_id: id } = begun.body as { upload_id: string };
    expect((await send("PUT", `/${id}?offset=0`, content.subarray(0, -1))).status).toBe(200);
    const gap = { status: 409, body: { code: "offset-gap", details: { committed_length: content.length - 1 } } };
    expect(await send("POST", `/${id}/complete`)).toMatchObject(gap);
    expect(await artifactsOf(runId)).toEqual([]);
    expect((await instance.api.refused("GET", `/artifacts/${id}`)).code).toBe("artifact-not-found");
    await instance.api.client.runs.cancel({ id: runId, force: true });
    expect((await send("PUT", `/${id}?offset=${content.length - 1}`, content.subarray(-1))).status).toBe(404);
    expect((await send("POST", `/${id}/complete`)).status).toBe(404);
    expect(await artifactsOf(runId)).toEqual([]);
    expect(newestExecution(jobOf(await instance.run(runId), "job")).status).toBe("cancelled");
  });
});
