import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { Reaper, releaseLease, runDueLeases } from "../dispatch/public.ts";
import { TestPlane, workflow } from "./test-plane.ts";

const TWO_JOBS =
  "  build:\n    runner: linux\n    steps: [{ run: 'true' }]\n  test:\n    runner: linux\n    needs: build\n    steps: [{ run: 'true' }]\n";

describeStores("the life of a job", (open) => {
  it("runs the jobs of a run in the order of their needs, to the end", async () => {
    const plane = await TestPlane.start(await open());
    const runId = await plane.fire(workflow(TWO_JOBS));
    const { sessionId } = await plane.register();
    const build = await plane.claim(sessionId);
    expect(await plane.claim(sessionId)).toBeNull();
    expect(await plane.finish(build?.executionId ?? "")).toBe("succeeded");
    const test = await plane.claim(sessionId);
    expect(await plane.finish(test?.executionId ?? "")).toBe("succeeded");
    const run = await plane.run(runId);
    expect(run).toMatchObject({
      status: "succeeded",
      jobs: [
        { key: "build", status: "succeeded" },
        { key: "test", status: "succeeded" },
      ],
    });
    expect(run.events.filter((type) => type.startsWith("run."))).toEqual([
      "run.created",
      "run.started",
      "run.finished",
    ]);
    const ended = "select job_id, execution_id, step_id from run_events where type = 'run.finished'";
    expect(await plane.store.read((tx) => tx.get(ended))).toEqual({ job_id: null, execution_id: null, step_id: null });
  });

  it("fails the run and skips what needed the failed job", async () => {
    const plane = await TestPlane.start(await open());
    const runId = await plane.fire(workflow(TWO_JOBS));
    const { sessionId } = await plane.register();
    const build = await plane.claim(sessionId);
    expect(await plane.finish(build?.executionId ?? "", 1)).toBe("failed");
    expect(await plane.run(runId)).toMatchObject({
      status: "failed",
      jobs: [
        { status: "failed", status_reason: "step_failed" },
        { status: "skipped", status_reason: "default_gate_rejected" },
      ],
    });
  });

  it("gives a job to exactly one of many runners that ask at once", async () => {
    const plane = await TestPlane.start(await open());
    const sessions = await Promise.all(Array.from({ length: 8 }, () => plane.register()));
    await Promise.all(Array.from({ length: 5 }, () => plane.fire(workflow())));
    const claims = (await Promise.all(sessions.map(({ sessionId }) => plane.claim(sessionId)))).filter(
      (claimed) => claimed !== null,
    );
    expect(claims).toHaveLength(5);
    expect(new Set(claims.map((claimed) => claimed.executionId)).size).toBe(5);
  });

  it("wakes one parked claim for each job, and no other", async () => {
    const plane = await TestPlane.start(await open());
    const first = await plane.register();
    const second = await plane.register();
    const results: string[] = [];
    const parked = [first, second].map(({ sessionId }) =>
      plane.claim(sessionId, { waitMs: 10_000 }).then((claimed) => {
        if (claimed) results.push(claimed.executionId);
        return claimed;
      }),
    );
    await plane.fire(workflow());
    await Promise.race(parked);
    expect(results).toHaveLength(1);
    await plane.fire(workflow());
    await Promise.all(parked);
    expect(new Set(results).size).toBe(2);
  });

  it("matches all labels, wakes a runner for a label set it has not met, and needs the image capability for an image", async () => {
    const plane = await TestPlane.start(await open());
    const plain = await plane.register(["linux", "gpu"]);
    const parked = plane.claim(plain.sessionId, { waitMs: 10_000 });
    await plane.fire(workflow("  a:\n    runner: [linux, arm64]\n    steps: [{ run: 'true' }]\n"));
    await plane.fire(workflow("  b:\n    runner: linux\n    image: alpine:3\n    steps: [{ run: 'true' }]\n"));
    expect(await plane.claim(plain.sessionId)).toBeNull();
    await plane.fire(workflow("  c:\n    runner: [gpu]\n    steps: [{ run: 'true' }]\n"));
    expect(await parked).not.toBeNull();
    const able = await plane.register(["linux"], { image: true });
    expect(await plane.claim(able.sessionId)).not.toBeNull();
  });

  it("serves the projects in turn, whatever the length of their queues", async () => {
    const plane = await TestPlane.start(await open());
    const other = await plane.addProject();
    for (let index = 0; index < 4; index += 1) await plane.fire(workflow());
    await plane.fire(workflow(), other);
    const { sessionId } = await plane.register();
    const served: string[] = [];
    for (let index = 0; index < 2; index += 1) {
      const claimed = await plane.claim(sessionId);
      served.push((await plane.principal(claimed?.fence ?? 0)).projectId);
    }
    expect(new Set(served)).toEqual(new Set([plane.projectId, other]));
  });

  it("answers a repeated claim with the same lease until the job has visibly started", async () => {
    const plane = await TestPlane.start(await open());
    await plane.fire(workflow());
    await plane.fire(workflow());
    const { sessionId } = await plane.register();
    const first = await plane.claim(sessionId, { key: "k1" });
    expect(await plane.claim(sessionId, { key: "k1" })).toMatchObject({
      fence: first?.fence,
      executionId: first?.executionId,
    });
    await plane.heartbeat(first?.fence ?? 0);
    await expect(plane.claim(sessionId, { key: "k1" })).rejects.toMatchObject({ code: "claim-key-used" });
    expect((await plane.claim(sessionId, { key: "k2" }))?.executionId).not.toBe(first?.executionId);
  });

  it("takes a job back at once when a claim without a key hung up before its reply", async () => {
    const plane = await TestPlane.start(await open());
    const runId = await plane.fire(workflow());
    const { sessionId } = await plane.register();
    expect(await plane.claim(sessionId, { signal: AbortSignal.abort() })).toBeNull();
    expect((await plane.run(runId)).executions).toMatchObject([
      { sequence: 1, status: "failed" },
      { sequence: 2, status: "pending" },
    ]);
    const other = await plane.register();
    expect(await plane.claim(other.sessionId)).not.toBeNull();
  });

  it("re-queues the job of a runner that vanished, once, with the reason, and refuses the old fence", async () => {
    const plane = await TestPlane.start(await open(), { leaseTermMs: 200 });
    const runId = await plane.fire(workflow());
    const lost = await plane.register();
    const survivor = await plane.register();
    const first = await plane.claim(lost.sessionId);
    await plane.next(first?.executionId ?? "");
    const reaper = new Reaper(plane.dispatch);
    reaper.start();
    const second = await plane.claim(survivor.sessionId, { waitMs: 10_000 });
    reaper.stop();
    expect(second?.executionId).not.toBe(first?.executionId);
    const run = await plane.run(runId);
    expect(run.executions).toMatchObject([
      { sequence: 1, status: "failed", status_reason: "runner_lost" },
      { sequence: 2, status: "running" },
    ]);
    expect(run.executions[0]?.status_reason_message).toContain("did not renew its lease");
    await expect(plane.heartbeat(first?.fence ?? 0)).rejects.toMatchObject({
      code: "running-job-execution-not-found",
      details: { reason: "expired" },
    });
    expect(await plane.finish(second?.executionId ?? "")).toBe("succeeded");
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  it("adopts the result of a runner that vanished after its last report", async () => {
    const plane = await TestPlane.start(await open(), { leaseTermMs: 200 });
    const runId = await plane.fire(
      workflow("  a:\n    runner: linux\n    steps: [{ run: 'false' }, { run: 'true' }]\n"),
    );
    const { sessionId } = await plane.register();
    const claimed = await plane.claim(sessionId);
    const executionId = claimed?.executionId ?? "";
    for (const status of ["succeeded", "failed"] as const) {
      const next = await plane.next(executionId);
      if (next.kind === "step") await plane.report(executionId, next.step.id, status);
    }
    const reaper = new Reaper(plane.dispatch);
    const ended = new Promise<void>((resolve) => {
      const remove = plane.dispatch.leases.remove.bind(plane.dispatch.leases);
      plane.dispatch.leases.remove = (fence) => {
        resolve();
        return remove(fence);
      };
    });
    reaper.start();
    await ended;
    reaper.stop();
    expect(await plane.run(runId)).toMatchObject({
      status: "failed",
      executions: [{ sequence: 1, status: "failed", status_reason: "step_failed" }],
    });
  });

  it("queues a handed back job again at once and offers it to another session first", async () => {
    const plane = await TestPlane.start(await open());
    const runId = await plane.fire(workflow());
    const drained = await plane.register();
    const first = await plane.claim(drained.sessionId);
    const principal = await plane.principal(first?.fence ?? 0);
    const release = () =>
      plane.store.write((tx) => releaseLease(tx, plane.dispatch, principal, { reason: "draining" }, Date.now()));
    await release();
    await release();
    expect(await plane.claim(drained.sessionId)).toBeNull();
    const other = await plane.register();
    expect(await plane.claim(other.sessionId)).not.toBeNull();
    expect((await plane.run(runId)).executions).toMatchObject([{ sequence: 1 }, { sequence: 2, status: "running" }]);
  });

  it("cancels at once, tells the runner on its parked heartbeat, and keeps the slot until the runner says that all is dead", async () => {
    const plane = await TestPlane.start(await open());
    const runId = await plane.fire(workflow());
    const { sessionId } = await plane.register();
    const claimed = await plane.claim(sessionId);
    const fence = claimed?.fence ?? 0;
    const next = await plane.next(claimed?.executionId ?? "");
    await plane.heartbeat(fence);
    const parked = plane.heartbeat(fence, 10_000);
    await plane.cancel(runId);
    expect(await parked).toMatchObject({ cancel: true });
    expect(await plane.run(runId)).toMatchObject({
      status: "cancelled",
      jobs: [{ status: "cancelled", status_reason: "run_cancelled" }],
    });
    if (next.kind === "step")
      expect(await plane.report(claimed?.executionId ?? "", next.step.id, "failed")).toMatchObject({ cancel: true });
    expect([...plane.dispatch.leases.all()]).toHaveLength(1);
    const principal = await plane.principal(fence);
    await plane.store.write((tx) => releaseLease(tx, plane.dispatch, principal, { reason: "draining" }, Date.now()));
    expect([...plane.dispatch.leases.all()]).toHaveLength(0);
    await expect(plane.cancel(runId)).rejects.toMatchObject({ code: "run-already-finished" });
  });

  it("frees the slot of a cancelled job whose runner never answers", async () => {
    const plane = await TestPlane.start(await open());
    const runId = await plane.fire(workflow());
    const { sessionId } = await plane.register();
    await plane.claim(sessionId);
    await plane.cancel(runId);
    expect(await runDueLeases(plane.dispatch, Date.now())).not.toBeNull();
    expect(await runDueLeases(plane.dispatch, Date.now() + 60_000)).toBeNull();
    expect([...plane.dispatch.leases.all()]).toHaveLength(0);
  });

  it("fails a job past its execution_timeout, queued or running, with timed_out", async () => {
    const plane = await TestPlane.start(await open());
    const timed = "  a:\n    runner: linux\n    execution_timeout: 1s\n    steps: [{ run: 'true' }]\n";
    const queued = await plane.fire(workflow(timed));
    const running = await plane.fire(workflow(timed));
    const { sessionId } = await plane.register();
    await plane.claim(sessionId);
    expect(await plane.runDue(Date.now())).not.toBeNull();
    expect(await plane.runDue(Date.now() + 2_000)).toBeNull();
    for (const runId of [queued, running]) {
      expect(await plane.run(runId)).toMatchObject({
        status: "failed",
        jobs: [{ status: "failed", status_reason: "timed_out" }],
      });
    }
    expect(await plane.claim(sessionId)).toBeNull();
  });

  it("retries a lost job after its back-off, up to the bound, then fails it as runner_lost", async () => {
    const plane = await TestPlane.start(await open(), { avoidMs: 0 });
    const runId = await plane.fire(workflow());
    const { sessionId } = await plane.register();
    let now = Date.now();
    for (let tries = 0; tries <= 5; tries += 1) {
      const claimed = await plane.claim(sessionId);
      const principal = await plane.principal(claimed?.fence ?? 0);
      await plane.store.write((tx) =>
        releaseLease(tx, plane.dispatch, principal, { reason: "sandbox_unavailable" }, Date.now()),
      );
      now += 31_000;
      await plane.runDue(now);
    }
    expect(await plane.run(runId)).toMatchObject({
      status: "failed",
      jobs: [{ status: "failed", status_reason: "runner_lost" }],
    });
    expect((await plane.run(runId)).executions).toHaveLength(6);
  });
});
