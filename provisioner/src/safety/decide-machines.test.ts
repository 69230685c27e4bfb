import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { InstanceRecord } from "../control-plane/client.ts";
import type { ObservedMachine } from "../drivers/driver.ts";
import { decideMachines } from "./decide-machines.ts";

const OWNER = { controller: "token-1", pool: "main" };
const JOB = { job_id: "j", workflow_run_attempt_id: "a" };
const IDS = ["a", "b", "c"];

const record = fc.record({
  runner_instance_id: fc.constantFrom(...IDS),
  provider_runner_id: fc.constantFrom(null, "m0", "m1"),
  template_key: fc.constant("small"),
  state: fc.constantFrom("planned", "starting", "running", "stopping", "stopped", "failed", "terminated"),
  registered: fc.boolean(),
  claimed: fc.boolean(),
  bound_job: fc.constantFrom(null, JOB),
  desired_intent: fc.constantFrom("keep", "terminate"),
}) as fc.Arbitrary<InstanceRecord>;
const tags = fc.record({
  controller: fc.constantFrom("token-1", "token-2", "Token-1", ""),
  pool: fc.constantFrom("main", "main2", ""),
  instance: fc.constantFrom(...IDS, "stranger", ""),
});
const machine: fc.Arbitrary<ObservedMachine> = fc.record({
  providerId: fc.constantFrom("m0", "m1", "m2"),
  tags: fc.option(tags),
  state: fc.constantFrom("starting", "running", "stopping", "stopped"),
});

const isOfOwner = ({ tags }: ObservedMachine) => tags?.controller === OWNER.controller && tags.pool === OWNER.pool;

describe("the machines of a whole list", () => {
  it("are deleted only when they are exactly ours, recorded, without a job, and over or unwanted", () => {
    fc.assert(
      fc.property(fc.array(machine), fc.array(record), (machines, records) => {
        const known = new Map(records.map((one) => [one.runner_instance_id, one]));
        const decision = decideMachines(OWNER, machines, known);
        for (const doomed of [...decision.bury, ...decision.remove]) {
          expect(doomed.tags).toMatchObject(OWNER);
          const own = known.get(doomed.tags.instance);
          expect(own?.bound_job).toBeNull();
          expect([null, doomed.providerId]).toContain(own?.provider_runner_id);
          const alike = machines.filter((one) => isOfOwner(one) && one.tags?.instance === doomed.tags.instance);
          if (own?.provider_runner_id === null) expect(alike).toEqual([doomed]);
          expect(doomed.state === "stopped" || own?.desired_intent === "terminate").toBe(true);
        }
        const all = Object.values(decision).flat();
        expect(new Set(all).size).toBe(all.length);
      }),
    );
  });

  const one = (over: Partial<InstanceRecord>) =>
    new Map([
      [
        "a",
        {
          runner_instance_id: "a",
          provider_runner_id: "m0",
          template_key: "small",
          state: "running",
          registered: true,
          claimed: false,
          bound_job: null,
          lost_job: false,
          desired_intent: "keep",
          ...over,
        } satisfies InstanceRecord,
      ],
    ]);
  const ours = { providerId: "m0", tags: { ...OWNER, instance: "a" } };

  it("are left alone when they are of others or of no record", () => {
    const machines: ObservedMachine[] = [
      { providerId: "x", tags: null, state: "stopped" },
      { providerId: "y", tags: { ...OWNER, pool: "other", instance: "a" }, state: "stopped" },
      { providerId: "z", tags: { ...OWNER, instance: "never-heard" }, state: "stopped" },
    ];
    const { foreign, unknown, bury, remove } = decideMachines(OWNER, machines, one({ desired_intent: "terminate" }));
    expect([foreign.length, unknown.length, bury.length, remove.length]).toEqual([2, 1, 0, 0]);
  });

  it("are left alone when somebody copied the tags of one of ours; of two that may be meant neither is touched", () => {
    const copy: ObservedMachine = { ...ours, providerId: "copy", state: "stopped" };
    const original: ObservedMachine = { ...ours, state: "stopped" };
    const known = decideMachines(OWNER, [copy, original], one({}));
    expect([known.unknown, known.bury]).toEqual([[copy], [original]]);
    const unsure = decideMachines(OWNER, [copy, original], one({ provider_runner_id: null }));
    expect([unsure.unknown, unsure.bury]).toEqual([[copy, original], []]);
  });

  it("stay while they have a job, also when the control plane wants to be rid of them", () => {
    const busy = one({ claimed: true, bound_job: JOB, desired_intent: "terminate" });
    expect(decideMachines(OWNER, [{ ...ours, state: "running" }], busy).remove).toEqual([]);
    expect(decideMachines(OWNER, [{ ...ours, state: "stopped" }], busy).mourn).toHaveLength(1);
  });

  it("are adopted after a restart: the record learns what the list says", () => {
    const planned = one({ state: "planned", provider_runner_id: null, registered: false });
    expect(decideMachines(OWNER, [{ ...ours, state: "starting" }], planned).adopt).toHaveLength(1);
    expect(decideMachines(OWNER, [{ ...ours, state: "running" }], one({})).adopt).toEqual([]);
  });
});
