import { membershipsReplySchema } from "@shipfox/shared/api/workspaces";
import { fireManualReplySchema } from "@shipfox/shared/api/definitions";
import type { ClaimReply } from "@shipfox/shared/machine";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import type { Answer } from "../src/api.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { holdWriteLock } from "../src/database.ts";
import { fault } from "../src/fault.ts";
import { HandRunner } from "../src/hand-runner.ts";
import { Instance, type ProjectHandle, workflow } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";

/** A crowd keeps two cores busy: leases must not end because the test is slow. */
const LONG_TIMES = { SHIPFOX_LEASE_TERM_MS: "120000", SHIPFOX_HEARTBEAT_INTERVAL_MS: "30000" };
const STARTS = 200;
const RUNNERS = 100;
const CROWD = 500;
const ROUNDS = 2;
const JOBS_PER_RUN = 500;
const RUNS_PER_PROJECT = 10;
/** Longer than the database waits for a lock. */
const LOCK_MS = 400;
const RETRY_MS = 100;
const MAX_TRIES = 300;

const jobs = (name: string, label: string, count: number) =>
  workflow(
    name,
    Array.from(
      { length: count },
      (_, index) => `  j${index}:\n    runner: ${label}\n    checkout: false\n    steps:\n      - run: 'true'\n`,
    ).join(""),
  );

/** Repeats a call that was refused for now, as every client does; answers how often that was, too. */
async function insist(send: () => Promise<Answer>): Promise<{ answer: Answer; refusals: number }> {
  for (let refusals = 0; refusals < MAX_TRIES; refusals += 1) {
    const answer = await send();
    if (answer.status !== 503 && answer.status !== 429) return { answer, refusals };
    await pause(RETRY_MS);
  }
  throw new Error("refused too often");
}

describe("many at once", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage, { times: LONG_TIMES });
    instance = await Instance.create(stage, plane);
  });

  it(`${fault(19, "while another program locks the database again and again")}`, async () => {
    const project = await instance.project({ "one.yml": jobs("One", "few", 1) });
    const token = await instance.registrationToken();
    const runners = await Promise.all(
      Array.from({ length: RUNNERS }, () => HandRunner.register(plane.url, token, ["few"])),
    );
    const { definitions } = await instance.definitions(project.id);
    const path = `/workflow-definitions/${definitions[0]?.id}/fire-manual`;
    let over = false;
    const locking = (async () => {
      while (!over) {
        await holdWriteLock(plane.dataDir, () => pause(LOCK_MS));
        await pause(LOCK_MS / 4);
      }
    })();
    let refusals = 0;
    const starts = Promise.all(
      Array.from({ length: STARTS }, async () => {
        const started = await insist(() => instance.api.call("POST", path, { body: {} }));
        refusals += started.refusals;
        return fireManualReplySchema.parse(started.answer.body).workflow_run_id;
      }),
    );
    const executions: string[] = [];
    const claims = Promise.all(
      runners.map(async (runner) => {
        for (let count = 0; count < STARTS / RUNNERS; count += 1) {
          const key = `${runner.registered.session_id} ${count}`;
          const { answer } = await insist(() => runner.claimCall({ key, waitSeconds: 50 }));
          expect(answer.status).toBe(200);
          executions.push((answer.body as ClaimReply).job_execution_id);
        }
      }),
    );
    const runIds = await starts;
    await claims;
    over = true;
    await locking;
    expect(refusals).toBeGreaterThan(0);
    expect(new Set(runIds).size).toBe(STARTS);
    expect(new Set(executions).size).toBe(STARTS);
    const found = await Promise.all(runIds.map((runId) => instance.run(runId)));
    expect(found.map((run) => run.jobs.length)).toEqual(runIds.map(() => 1));
    expect(new Set(found.map((run) => run.jobs[0]?.job_executions[0]?.id))).toEqual(new Set(executions));
    expect((await instance.api.get(membershipsReplySchema, "/workspaces")).memberships).toHaveLength(1);
  });

  it(`${fault(46, "the control plane is killed before")}`, async () => {
    const yaml = { "many.yml": jobs("Many", "crowd", JOBS_PER_RUN) };
    const projects = [await instance.project(yaml), await instance.project(yaml)];
    const runIds = await Promise.all(
      projects.flatMap((project: ProjectHandle) =>
        Array.from({ length: RUNS_PER_PROJECT }, () => instance.fire(project, "Many")),
      ),
    );
    const token = await instance.registrationToken();
    const runners = await Promise.all(
      Array.from({ length: CROWD }, () => HandRunner.register(plane.url, token, ["crowd"])),
    );
    await plane.kill9();
    await plane.restart();

    const executions = new Set<string>();
    // They come back, and go on.
    for (let round = 0; round < ROUNDS; round += 1) {
      const claimed = await Promise.all(runners.map(async (runner) => ({ runner, claim: await runner.claim() })));
      for (const { claim } of claimed) executions.add(claim.job_execution_id);
      const served = projects.map(({ id }) => claimed.filter(({ claim }) => claim.job?.project_id === id).length);
      expect(served).toEqual([CROWD / 2, CROWD / 2]);
      await Promise.all(claimed.map(({ runner, claim }) => runner.finish(claim)));
    }
    expect(executions.size).toBe(ROUNDS * CROWD);

    const counts: Record<string, number> = {};
    for (const runId of runIds) {
      for (const { status, job_executions } of (await instance.run(runId)).jobs) {
        expect(job_executions).toHaveLength(1);
        counts[status] = (counts[status] ?? 0) + 1;
      }
    }
    const all = projects.length * RUNS_PER_PROJECT * JOBS_PER_RUN;
    expect(counts).toEqual({ succeeded: ROUNDS * CROWD, pending: all - ROUNDS * CROWD });
  });
});
