import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { confirmCredential } from "./register.ts";
import { drainRunner, revokeRunner, revokeRunnersOf } from "./manage-runners.ts";
import { TestPlane, workflow } from "./test-plane.ts";

describeStores("registration", (open) => {
  it("lets a token be used as often as it allows, even when many ask at once", async () => {
    const plane = await TestPlane.start(await open());
    const token = await plane.registrationToken({ maxUses: 2 });
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => plane.register(["linux"], { token })));
    expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(2);
    expect(results.find((result) => result.status === "rejected")).toMatchObject({
      reason: { code: "registration-token-exhausted" },
    });
  });

  it("refuses unknown and expired tokens and an empty label set", async () => {
    const plane = await TestPlane.start(await open());
    await expect(plane.register(["linux"], { token: `sf_mrt_${"x".repeat(43)}` })).rejects.toMatchObject({
      code: "unauthorized",
    });
    await expect(plane.register([" "])).rejects.toMatchObject({ code: "empty-runner-labels" });
    const expired = await plane.registrationToken({ ttlSeconds: -1 });
    await expect(plane.register(["linux"], { token: expired })).rejects.toMatchObject({
      code: "registration-token-expired",
    });
  });

  it("fences the former session of a runner that comes back, and queues its job again at once", async () => {
    const plane = await TestPlane.start(await open());
    const runId = await plane.fire(workflow());
    const first = await plane.register(["linux"], { persistent: true });
    const claimed = await plane.claim(first.sessionId);
    const second = await plane.register(["linux"], { token: first.runnerToken ?? "", persistent: true });
    expect(second.runnerId).toBe(first.runnerId);
    await expect(plane.claim(first.sessionId)).rejects.toMatchObject({ code: "runner-session-exhausted" });
    await expect(plane.heartbeat(claimed?.fence ?? 0)).rejects.toMatchObject({ details: { reason: "superseded" } });
    expect(await plane.claim(second.sessionId)).not.toBeNull();
    expect((await plane.run(runId)).executions).toMatchObject([
      { status: "failed", status_reason: "runner_lost" },
      { status: "running" },
    ]);
  });

  it("survives a lost reply: the presented credential stays good until its successor is first used", async () => {
    const plane = await TestPlane.start(await open());
    const first = await plane.register(["linux"], { persistent: true });
    const credential = first.runnerToken ?? "";
    await plane.register(["linux"], { token: credential, persistent: true });
    const repeated = await plane.register(["linux"], { token: credential, persistent: true });
    expect(repeated.runnerId).toBe(first.runnerId);
  });

  it("recognises a copied credential file and leaves the live runner alone", async () => {
    const plane = await TestPlane.start(await open());
    const first = await plane.register(["linux"], { persistent: true });
    const live = await plane.register(["linux"], { token: first.runnerToken ?? "", persistent: true });
    await plane.store.write((tx) => confirmCredential(tx, live.runnerId, Date.now()));
    await expect(plane.register(["linux"], { token: first.runnerToken ?? "", persistent: true })).rejects.toMatchObject(
      { code: "runner-credential-reused" },
    );
    await plane.fire(workflow());
    expect(await plane.claim(live.sessionId)).not.toBeNull();
  });

  it("drains: what runs goes on, nothing more is given, heartbeats and parked claims are told at once", async () => {
    const plane = await TestPlane.start(await open());
    const runId = await plane.fire(workflow());
    const { sessionId, runnerId } = await plane.register();
    const claimed = await plane.claim(sessionId);
    await plane.heartbeat(claimed?.fence ?? 0);
    const parked = plane.claim(sessionId, { waitMs: 10_000 });
    const heartbeat = plane.heartbeat(claimed?.fence ?? 0, 10_000);
    const refused = parked.catch((error: unknown) => error);
    await plane.store.write((tx) => drainRunner(tx, plane.dispatch, plane.workspaceId, runnerId, Date.now()));
    expect(await refused).toMatchObject({ code: "runner-session-exhausted", details: { reason: "draining" } });
    expect(await heartbeat).toEqual({ cancel: false, drain: true });
    expect(await plane.finish(claimed?.executionId ?? "")).toBe("succeeded");
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  it("revokes: the session and its lease end at once and the job is queued again", async () => {
    const plane = await TestPlane.start(await open());
    await plane.fire(workflow());
    const revoked = await plane.register(["linux"], { persistent: true });
    const claimed = await plane.claim(revoked.sessionId);
    await plane.store.write((tx) => revokeRunner(tx, plane.dispatch, plane.workspaceId, revoked.runnerId, Date.now()));
    await expect(plane.heartbeat(claimed?.fence ?? 0)).rejects.toMatchObject({ details: { reason: "revoked" } });
    await expect(plane.claim(revoked.sessionId)).rejects.toMatchObject({ code: "runner-session-exhausted" });
    await expect(
      plane.register(["linux"], { token: revoked.runnerToken ?? "", persistent: true }),
    ).rejects.toMatchObject({ code: "runner-revoked" });
    const other = await plane.register();
    expect(await plane.claim(other.sessionId)).not.toBeNull();
  });

  it("revokes with a token every runner that registered with it, and no other", async () => {
    const plane = await TestPlane.start(await open());
    const token = await plane.registrationToken();
    const revoked = await plane.register(["linux"], { token, persistent: true });
    const other = await plane.register();
    const tokenId = await plane.store.read((tx) =>
      tx.get<{ id: string }>("select id from registration_tokens order by created_at, id limit 1"),
    );
    await plane.store.write((tx) =>
      revokeRunnersOf(tx, plane.dispatch, plane.workspaceId, tokenId?.id ?? "", Date.now()),
    );
    await expect(plane.claim(revoked.sessionId)).rejects.toMatchObject({ code: "runner-session-exhausted" });
    expect(await plane.claim(other.sessionId)).toBeNull();
  });
});
