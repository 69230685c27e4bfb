import { expect, it } from "vitest";
import { type Instance, jobsOf, Provisioning, template } from "./provisioning.fixture.ts";
import { describeStores } from "./store/testing.ts";

const first = ([instance]: Instance[]): Instance => {
  if (!instance) throw new Error("no instance was made");
  return instance;
};

describeStores("what a provisioner is told to start", (open) => {
  it("is an instance for each job that waits, within its slots, and once", async () => {
    const provisioning = await Provisioning.start(await open());
    await provisioning.plane.inside.fire(jobsOf("linux", "a", "b", "c"));
    const told = await provisioning.poll([template(2)]);
    expect(told.stats).toEqual([{ labels: ["linux"], capabilities: [], queued: 3, covered: 0 }]);
    expect(told.reservations).toMatchObject([{ labels: ["linux"], count: 2 }]);
    expect((await provisioning.poll([template(2)])).reservations).toEqual([]);
    await provisioning.make(2, told.reservations[0].reservation_id);
    const again = await provisioning.poll([template(5)]);
    expect(again.stats).toMatchObject([{ queued: 3, covered: 2 }]);
    expect(again.reservations).toMatchObject([{ count: 1 }]);
  });

  it("leaves alone jobs that an idle runner of other origin will take, and labels that no template gives", async () => {
    const provisioning = await Provisioning.start(await open());
    const { plane } = provisioning;
    const session = await plane.session(["linux"]);
    const parked = plane.claim(session, { query: "?wait_seconds=30" });
    await expect.poll(() => plane.inside.dispatch.waiters.size).toBe(1);
    await plane.inside.fire(jobsOf("windows", "w"));
    expect(await provisioning.poll([template(5)])).toMatchObject({ stats: [], reservations: [] });
    await plane.inside.fire(jobsOf("linux", "a"));
    expect((await parked).status).toBe(200);
    expect((await provisioning.poll([template(5)])).reservations).toEqual([]);
  });

  it("counts what other provisioners of the workspace have reserved", async () => {
    const provisioning = await Provisioning.start(await open());
    const other = await provisioning.newToken();
    await provisioning.plane.inside.fire(jobsOf("linux", "a", "b"));
    expect((await provisioning.poll([template(1)])).reservations).toMatchObject([{ count: 1 }]);
    expect((await provisioning.poll([template(9)], { token: other.token })).reservations).toMatchObject([{ count: 1 }]);
    expect((await provisioning.poll([template(9)])).reservations).toEqual([]);
  });

  it("comes as soon as a job is queued, to a poll that waits", async () => {
    const provisioning = await Provisioning.start(await open());
    const polled = provisioning.poll([template(3)], { wait: 30 });
    await expect
      .poll(async () => (await provisioning.asUser("GET", "/provisioners/active")).body.provisioners)
      .toHaveLength(1);
    await provisioning.plane.inside.fire(jobsOf("linux", "a"));
    expect((await polled).reservations).toMatchObject([{ count: 1 }]);
  });

  it("is free for others when a reservation expires, or its provisioner is revoked", async () => {
    const provisioning = await Provisioning.start(await open());
    const other = await provisioning.newToken();
    await provisioning.plane.inside.fire(jobsOf("linux", "a"));
    const { reservations } = await provisioning.poll([template(1)]);
    await provisioning.asUser("POST", `/provisioners/tokens/${provisioning.id}/revoke`);
    expect((await provisioning.poll([template(1)], { token: other.token })).reservations).toMatchObject([{ count: 1 }]);
    expect(await provisioning.call("/demand/poll", { max_reservations: 1, templates: [] })).toMatchObject({
      status: 401,
      body: { code: "provisioner-token-revoked" },
    });
    provisioning.token = other.token;
    const batch = { runner_instances: [{ template_key: "small", reservation_id: reservations[0].reservation_id }] };
    expect((await provisioning.call("/runner-instances/batch", batch)).body).toEqual({
      runner_instances: [],
      reservation_unavailable: true,
    });
  });

  it("is told anew to the daemon of the pool that was killed before it used what was reserved", async () => {
    const provisioning = await Provisioning.start(await open());
    await provisioning.plane.inside.fire(jobsOf("linux", "a", "b"));
    const body = { max_reservations: 2, templates: [template(2)] };
    const poll = async () => (await provisioning.call("/demand/poll", body, { holder: "daemon-1 host-a" })).body;
    const [lost] = (await poll()).reservations;
    const [told] = (await poll()).reservations;
    expect(told).toMatchObject({ count: 2 });
    expect(await provisioning.make(2, lost.reservation_id)).toEqual([]);
    expect(await provisioning.make(1, told.reservation_id)).toHaveLength(1);
    expect((await poll()).reservations).toMatchObject([{ count: 1 }]);
  });

  it("shows users which daemon speaks for a provisioner, and what its templates can start", async () => {
    const provisioning = await Provisioning.start(await open());
    const fault = { kind: "circuit_open", message: "every boot failed" };
    const body = { max_reservations: 1, templates: [{ ...template(1), fault }] };
    await provisioning.call("/demand/poll", body, { holder: "daemon-1 host-a" });
    const { provisioners } = (await provisioning.asUser("GET", "/provisioners/active")).body;
    expect(provisioners).toMatchObject([{ host: "host-a", templates: [{ template_key: "small", fault }] }]);
  });

  it("is nothing to a second daemon with the same token, until the first lets go", async () => {
    const provisioning = await Provisioning.start(await open());
    const body = { max_reservations: 1, templates: [template(1)] };
    expect((await provisioning.call("/demand/poll", body, { holder: "daemon-1 host-a" })).status).toBe(200);
    expect(await provisioning.call("/demand/poll", body, { holder: "daemon-2 host-b" })).toMatchObject({
      status: 409,
      body: { code: "provisioner-pool-held", details: { host: "host-a" } },
    });
    const batch = { runner_instances: [{ template_key: "small" }] };
    expect((await provisioning.call("/runner-instances/batch", batch, { holder: "daemon-2 host-b" })).status).toBe(409);
    expect((await provisioning.call("/pool", undefined, { method: "DELETE", holder: "daemon-1 host-a" })).status).toBe(
      204,
    );
    expect((await provisioning.call("/demand/poll", body, { holder: "daemon-2 host-b" })).status).toBe(200);
  });
});

describeStores("a runner instance", (open) => {
  async function pooled() {
    const provisioning = await Provisioning.start(await open());
    await provisioning.poll([template(5)]);
    return { provisioning, instance: first(await provisioning.make(1)) };
  }

  it("registers once, with the labels of its template, and gets one job", async () => {
    const { provisioning, instance } = await pooled();
    const { plane } = provisioning;
    expect((await provisioning.register(instance, { labels: ["linux", "gpu"] })).body).toMatchObject({
      code: "labels-not-granted",
    });
    const registered = await provisioning.register(instance, { key: "first" });
    expect(registered.body).toMatchObject({ mode: "ephemeral", max_claims: 1 });
    const repeated = await provisioning.register(instance, { key: "first" });
    expect(repeated.body.session_id).toBe(registered.body.session_id);
    expect(await provisioning.register(instance, { key: "other" })).toMatchObject({
      status: 401,
      body: { code: "registration-token-used" },
    });
    const entries = await plane.inside.store.read((tx) =>
      tx.all<{ action: string; outcome: string }>("select action, outcome from audit_events where outcome = 'denied'"),
    );
    expect(entries).toEqual([{ action: "runner_instance.registered", outcome: "denied" }]);

    await plane.inside.fire(jobsOf("linux", "a", "b"));
    expect((await plane.claim(registered.body.session_token)).status).toBe(200);
    expect(await plane.claim(registered.body.session_token)).toMatchObject({
      status: 409,
      body: { code: "runner-session-exhausted", details: { reason: "used" } },
    });
    expect((await provisioning.register(instance, { key: "first" })).status).toBe(401);
  });

  it("that does not register in time is to be removed, and its job gets another", async () => {
    const provisioning = await Provisioning.start(await open());
    await provisioning.plane.inside.fire(jobsOf("linux", "a"));
    const { reservations } = await provisioning.poll([template(5)]);
    const instance = first(await provisioning.make(1, reservations[0].reservation_id));
    await provisioning.runDue(Date.now() + 601_000);
    expect((await provisioning.register(instance)).body).toMatchObject({ code: "registration-token-expired" });
    const told = await provisioning.poll([template(5)]);
    expect(told.terminate).toEqual([
      { runner_instance_id: instance.runner_instance_id, provider_runner_id: null, reason: "boot_timeout" },
    ]);
    expect(told.reservations).toMatchObject([{ count: 1 }]);
  });

  it("whose runner has hung before it had a job is replaced, and then removed", async () => {
    const provisioning = await Provisioning.start(await open());
    const { inside } = provisioning.plane;
    await inside.fire(jobsOf("linux", "a"));
    const { reservations } = await provisioning.poll([template(5)]);
    const instance = first(await provisioning.make(1, reservations[0].reservation_id));
    await provisioning.session(instance);
    expect((await provisioning.poll([template(5)])).reservations).toEqual([]);
    const silentFor = (seconds: number) =>
      inside.store.write((tx) =>
        tx.run("update runner_sessions set last_seen_at = ? where mode = 'ephemeral'", [Date.now() - seconds * 1_000]),
      );
    await silentFor(190);
    expect(await provisioning.poll([template(5)])).toMatchObject({ reservations: [{ count: 1 }], terminate: [] });
    await silentFor(310);
    expect((await provisioning.poll([template(5)])).terminate).toEqual([
      { runner_instance_id: instance.runner_instance_id, provider_runner_id: null, reason: "session_ended" },
    ]);
  });

  it("is to be removed once its runner has signed off after its job: a poll without room hears of it", async () => {
    const { provisioning, instance } = await pooled();
    const { plane } = provisioning;
    const session = await provisioning.session(instance);
    await plane.inside.fire(jobsOf("linux", "a"));
    expect((await plane.claim(session)).status).toBe(200);
    const polled = provisioning.poll([template(0)], { wait: 30 });
    await expect
      .poll(async () => (await provisioning.asUser("GET", "/provisioners/active")).body.provisioners[0].templates)
      .toMatchObject([{ available_slots: 0 }]);
    await plane.call("DELETE", "/runners/session", { token: session });
    expect((await polled).terminate).toMatchObject([
      { runner_instance_id: instance.runner_instance_id, reason: "finished" },
    ]);
  });

  it("is either given a job or drained, never both", async () => {
    const { provisioning, instance } = await pooled();
    const { plane } = provisioning;
    const [busy] = await provisioning.make(1);
    const [session, busySession] = [await provisioning.session(instance), await provisioning.session(busy as Instance)];
    await plane.inside.fire(jobsOf("linux", "a"));
    expect((await plane.claim(busySession)).status).toBe(200);
    await plane.inside.fire(jobsOf("linux", "b"));
    const ids = [instance.runner_instance_id, busy?.runner_instance_id, plane.inside.workspaceId];
    const drained = await provisioning.call("/runner-instances/drain", { runner_instance_ids: ids });
    expect(drained.body).toEqual({ drained: [ids[0]], busy: [ids[1]], unknown: [ids[2]] });
    expect(await plane.claim(session)).toMatchObject({ status: 409, body: { code: "runner-session-exhausted" } });
    expect((await provisioning.poll([template(0)])).terminate).toMatchObject([{ runner_instance_id: ids[0] }]);
  });

  it("is claimed or drained by one of many who try at once", async () => {
    const { provisioning } = await pooled();
    const { plane } = provisioning;
    const instances = await provisioning.make(8);
    const sessions = await Promise.all(instances.map((instance) => provisioning.session(instance)));
    await plane.inside.fire(jobsOf("linux", ...instances.map((_, index) => `j${index}`)));
    const [claims, drain] = await Promise.all([
      Promise.all(sessions.map((session) => plane.claim(session))),
      provisioning.call("/runner-instances/drain", {
        runner_instance_ids: instances.map(({ runner_instance_id: id }) => id),
      }),
    ]);
    for (const [index, { status }] of claims.entries()) {
      const id = instances[index]?.runner_instance_id;
      expect(drain.body.drained.includes(id)).toBe(status !== 200);
      expect(drain.body.busy.includes(id)).toBe(status === 200);
    }
  });

  it("goes forward through its states, whatever order reports come in, and keeps its first end", async () => {
    const { provisioning, instance } = await pooled();
    await provisioning.report(instance, "running", { provider_runner_id: "i-1" });
    await provisioning.report(instance, "starting");
    expect((await provisioning.report(instance, "failed", { reason: "no disk", console_tail: "panic" })).body).toEqual({
      accepted: 1,
      unknown_runner_instance_ids: [],
    });
    expect((await provisioning.report(instance, "terminated")).body.accepted).toBe(0);
    const path = `/runner-instances/${instance.runner_instance_id}`;
    expect((await provisioning.asUser("GET", path)).body).toMatchObject({
      state: "failed",
      reason: "no disk",
      provider_runner_id: "i-1",
      console_tail: "panic",
      history: [{ state: "planned" }, { state: "running" }, { state: "failed", reason: "no disk" }],
    });
    const list = (await provisioning.asUser("GET", "/runner-instances?open=true")).body;
    expect(list.runner_instances).toEqual([]);
  });

  it("of others is unknown to a provisioner", async () => {
    const { provisioning, instance } = await pooled();
    const other = await provisioning.newToken();
    provisioning.token = other.token;
    const id = instance.runner_instance_id;
    expect((await provisioning.report(instance, "terminated")).body).toEqual({
      accepted: 0,
      unknown_runner_instance_ids: [id],
    });
    const observed = { observed_runner_instance_ids: [id] };
    expect((await provisioning.call("/runner-instances/reconcile", observed)).body).toEqual({
      runners: [],
      unknown_runner_instance_ids: [id],
      terminated_absent_runner_instance_ids: [],
    });
  });

  it("has lost its job when that was handed back", async () => {
    const { provisioning, instance } = await pooled();
    const { plane } = provisioning;
    const session = await provisioning.session(instance);
    await plane.inside.fire(jobsOf("linux", "a"));
    const claim = await plane.claim(session);
    const observed = { observed_runner_instance_ids: [instance.runner_instance_id] };
    const record = async () => (await provisioning.call("/runner-instances/reconcile", observed)).body.runners[0];
    expect(await record()).toMatchObject({ claimed: true, bound_job: { job_id: claim.body.job_id }, lost_job: false });
    expect((await plane.release(claim.body, "machine_going")).status).toBeLessThan(300);
    expect(await record()).toMatchObject({ claimed: true, bound_job: null, lost_job: true });
  });

  it("that the provider has lost is ended, but never by a list that came empty", async () => {
    const { provisioning, instance } = await pooled();
    const [other] = await provisioning.make(1);
    for (const each of [instance, other as Instance]) await provisioning.report(each, "running");
    const { store } = provisioning.plane.inside;
    await store.write((tx) => tx.run("update runner_instances set reported_at = reported_at - 121000"));
    const reconcile = async (ids: (string | undefined)[], confirmed = false) =>
      (
        await provisioning.call("/runner-instances/reconcile", {
          observed_runner_instance_ids: ids,
          confirmed_empty: confirmed,
        })
      ).body;
    expect((await reconcile([])).terminated_absent_runner_instance_ids).toEqual([]);
    const seen = await reconcile([instance.runner_instance_id]);
    expect(seen.terminated_absent_runner_instance_ids).toEqual([other?.runner_instance_id]);
    expect(seen.runners).toMatchObject([
      { runner_instance_id: instance.runner_instance_id, state: "running", claimed: false, desired_intent: "keep" },
    ]);
    expect((await reconcile([], true)).terminated_absent_runner_instance_ids).toEqual([instance.runner_instance_id]);
  });

  it("that works is neither ended nor unwanted when a list misses it, and is ended once its lease is over", async () => {
    const { provisioning, instance } = await pooled();
    const { plane } = provisioning;
    const { store } = plane.inside;
    const [other] = (await provisioning.make(1)) as [Instance];
    for (const each of [instance, other]) await provisioning.report(each, "running");
    const session = await provisioning.session(instance);
    await plane.inside.fire(jobsOf("linux", "a"));
    const claim = await plane.claim(session);
    await store.write((tx) => tx.run("update runner_instances set reported_at = reported_at - 121000"));
    const [busy, idle] = [instance.runner_instance_id, other.runner_instance_id];
    const reconcile = async (...ids: string[]) =>
      (await provisioning.call("/runner-instances/reconcile", { observed_runner_instance_ids: ids })).body;
    const works = expect.objectContaining({
      runner_instance_id: busy,
      state: "running",
      desired_intent: "keep",
      bound_job: expect.objectContaining({ job_id: claim.body.job_id }),
    });
    const missed = await reconcile(idle);
    expect(missed.terminated_absent_runner_instance_ids).toEqual([]);
    expect(missed.runners).toContainEqual(works);
    expect((await reconcile(busy, idle)).runners).toContainEqual(works);
    expect((await plane.release(claim.body, "machine_going")).status).toBeLessThan(300);
    expect((await reconcile(idle)).terminated_absent_runner_instance_ids).toEqual([busy]);
  });

  it("that works is kept while its lease is open, even when its record has ended", async () => {
    const { provisioning, instance } = await pooled();
    const { plane } = provisioning;
    const session = await provisioning.session(instance);
    await plane.inside.fire(jobsOf("linux", "a"));
    const claim = await plane.claim(session);
    await provisioning.report(instance, "terminated");
    const observed = { observed_runner_instance_ids: [instance.runner_instance_id] };
    const record = async () => (await provisioning.call("/runner-instances/reconcile", observed)).body.runners[0];
    expect(await record()).toMatchObject({ bound_job: { job_id: claim.body.job_id }, desired_intent: "keep" });
    expect((await plane.release(claim.body, "machine_going")).status).toBeLessThan(300);
    expect(await record()).toMatchObject({ bound_job: null, desired_intent: "terminate" });
  });

  it("is asked for with all that waits, also what none of its templates can do", async () => {
    const { provisioning } = await pooled();
    const { plane } = provisioning;
    await plane.inside.fire(jobsOf("linux", "a", "b"));
    await plane.inside.fire(jobsOf("gpu", "c"));
    const { stats, unmatched } = await provisioning.poll([template(0)]);
    expect(stats).toMatchObject([{ labels: ["linux"], queued: 2 }]);
    expect(unmatched).toEqual([{ labels: ["gpu"], capabilities: [], queued: 1, covered: 0 }]);
  });

  it("is ended by hand: drained when it is idle, and its job queued again when it is terminated", async () => {
    const { provisioning, instance } = await pooled();
    const { plane } = provisioning;
    const session = await provisioning.session(instance);
    const runId = await plane.inside.fire(jobsOf("linux", "a"));
    await plane.claim(session);
    const path = `/runner-instances/${instance.runner_instance_id}`;
    expect((await provisioning.asUser("POST", `${path}/drain`)).body).toMatchObject({
      claimed: true,
      terminate_reason: null,
    });
    expect((await provisioning.poll([template(0)])).terminate).toEqual([]);
    const ended = await provisioning.asUser("POST", `${path}/terminate`);
    expect(ended.body).toMatchObject({ terminate_reason: "terminated_by_user" });
    expect((await provisioning.poll([template(0)])).terminate).toMatchObject([{ reason: "terminated_by_user" }]);
    const { executions } = await plane.inside.run(runId);
    expect(executions.map(({ status }) => status)).toEqual(["failed", "pending"]);
  });
});
