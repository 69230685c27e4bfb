import { expect, it } from "vitest";
import type { InstanceRecord } from "../control-plane/client.ts";
import { Losses } from "./losses.ts";

const JOB = { job_id: "j", workflow_run_attempt_id: "a" };

function records(over: Readonly<Record<string, Partial<InstanceRecord>>>): Map<string, InstanceRecord> {
  const entries = Object.entries(over).map(([id, own]): [string, InstanceRecord] => [
    id,
    {
      runner_instance_id: id,
      provider_runner_id: null,
      template_key: "spot",
      state: "running",
      registered: true,
      claimed: true,
      bound_job: null,
      lost_job: false,
      desired_intent: "keep",
      ...own,
    },
  ]);
  return new Map(entries);
}

const idsOf = (found: readonly InstanceRecord[]) => found.map(({ runner_instance_id: id }) => id);

it("finds once who gave a job back or was not heard from, and who vanished with a job", () => {
  const losses = new Losses();
  const before = records({ quiet: {}, busy: { bound_job: JOB }, done: {} });
  expect(losses.find(before, new Map(), [])).toEqual([]);
  const now = records({ quiet: { lost_job: true } });
  expect(idsOf(losses.find(now, before, ["busy", "done", "stranger"]))).toEqual(["quiet", "busy"]);
  expect(losses.find(now, now, [])).toEqual([]);
});

it("does not count one twice whose record stays after its machine vanished", () => {
  const losses = new Losses();
  const busy = records({ one: { bound_job: JOB } });
  const lost = records({ one: { lost_job: true } });
  expect(idsOf(losses.find(lost, busy, []))).toEqual(["one"]);
  expect(losses.find(new Map(), records({ one: { lost_job: true } }), ["one"])).toEqual([]);
});
