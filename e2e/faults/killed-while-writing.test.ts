import { stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { membershipsReplySchema } from "@shipfox/shared/api/workspaces";
import { encodeLogRecord } from "@shipfox/shared/log-records";
import { logAppendReplySchema } from "@shipfox/shared/machine";
import { describe, expect, it } from "vitest";
import { Child } from "../src/child.ts";
import { ControlPlane, freePort } from "../src/control-plane.ts";
import { DATABASE_FILES, faultsOfDatabase } from "../src/database.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { HandRunner } from "../src/hand-runner.ts";
import { Instance, workflow } from "../src/instance.ts";
import { startPostgres } from "../src/postgres.ts";
import { CONTROL_PLANE } from "../src/programs.ts";
import { useStage } from "../src/stage.ts";

const WRITERS = 16;
/** SQLite moves its write-ahead log into the database when it holds 1,000 pages of 4 KiB. */
const CHECKPOINT_BYTES = 1_000 * 4_120;
const BY_HAND = workflow("By hand", "  job:\n    checkout: false\n    steps:\n      - run: 'true'\n");
const RECORD = encodeLogRecord({ v: 1, ts: 0, type: "output", stream: "stdout", data: "x\n" });

/** Users that make workspaces and a job that prints, without a pause, until the control plane is killed. */
class Writers {
  readonly acknowledged: string[] = [];
  appendedBytes = 0;
  readonly #instance: Instance;
  readonly #ended: Promise<unknown>;
  #over = false;

  constructor(instance: Instance, append: (offset: number) => Promise<number>) {
    this.#instance = instance;
    this.#ended = Promise.all([
      ...Array.from({ length: WRITERS }, (_, index) => this.#makeWorkspaces(`${performance.now()} ${index}`)),
      this.#append(append),
    ]);
  }

  end(): Promise<unknown> {
    this.#over = true;
    return this.#ended;
  }

  async #makeWorkspaces(prefix: string): Promise<void> {
    for (let count = 0; !this.#over; count += 1) {
      const name = `${prefix} ${count}`;
      const answer = await this.#instance.api.call("POST", "/workspaces", { body: { name } }).catch(() => null);
      if (answer === null) return;
      if (answer.status === 201) this.acknowledged.push(name);
    }
  }

  async #append(append: (offset: number) => Promise<number>): Promise<void> {
    try {
      this.appendedBytes = await append(0);
      while (!this.#over) this.appendedBytes = await append(this.appendedBytes);
    } catch {
      // Killed.
    }
  }
}

describe.each([
  { on: "SQLite", database: "SQLite", start: async () => ({}) },
  {
    on: "[postgres] PostgreSQL",
    database: "PostgreSQL",
    start: async (stage: ReturnType<typeof useStage>) => ({ SHIPFOX_DATABASE_URL: await startPostgres(stage) }),
  },
])("$on: the control plane is killed while it writes", ({ database, start }) => {
  const stage = useStage();

  it(`${fault(20, database)}`, async () => {
    const plane = await ControlPlane.start(stage, { env: await start(stage) });
    const instance = await Instance.create(stage, plane);
    const project = await instance.project({ "hand.yml": BY_HAND });
    const hand = await HandRunner.register(plane.url, await instance.registrationToken());
    const runId = await instance.fire(project, "By hand");
    const claim = await hand.claim();
    const step = await hand.firstRunStep(claim);
    const append = async (offset: number, records = RECORD.repeat(10)) => {
      const answer = await hand.append(step.lease_token, step.step.id, offset, records);
      return logAppendReplySchema.parse(answer.body).committed_length;
    };
    const isAtCheckpoint = async () =>
      database !== "SQLite" || (await stat(join(plane.dataDir, DATABASE_FILES[1]))).size >= CHECKPOINT_BYTES;
    const moments = [
      async () => pause(50 + Math.random() * 200),
      async () => {
        while (!(await isAtCheckpoint())) await pause(1);
      },
      async () => pause(Math.random() * 500),
    ];
    const acknowledged = new Set(["Tests"]);
    for (const moment of moments) {
      const held = await append(0, "").catch(() => 0);
      const writers = new Writers(instance, (offset) => append(Math.max(offset, held)));
      await eventually("something is written", async () => writers.acknowledged.length > 0);
      await moment();
      await plane.kill9();
      await writers.end();
      if (database === "SQLite") expect(await faultsOfDatabase(plane.dataDir)).toEqual([]);
      await plane.restart();
      for (const name of writers.acknowledged) acknowledged.add(name);
      const { memberships } = await instance.api.get(membershipsReplySchema, "/workspaces");
      const kept = new Set(memberships.map(({ workspace_name }) => workspace_name));
      expect([...acknowledged].filter((name) => !kept.has(name))).toEqual([]);
      expect((await hand.heartbeat(claim)).status).toBe(200);
    }
    const length = await append(0, "");
    expect((await hand.reportCall(step)).status).toBe(200);
    expect((await instance.waitForRun(runId)).status).toBe("succeeded");
    expect(Buffer.byteLength(await instance.logText(step.step.id))).toBe((length / RECORD.length) * 2);
  });
});

describe("the first start of a control plane is killed", () => {
  const stage = useStage();
  const isThere = (path: string) =>
    stat(path).then(
      ({ size }) => size > 0,
      () => false,
    );

  it.each([
    { file: DATABASE_FILES[0], delayMs: 0 },
    { file: DATABASE_FILES[1], delayMs: 0 },
    { file: DATABASE_FILES[1], delayMs: 4 },
    { file: DATABASE_FILES[1], delayMs: 12 },
  ])(`${fault(22, "kill -9 while the tables are made, $delayMs ms after $file")}`, async ({ file, delayMs }) => {
    const dataDir = await stage.folder("data");
    const env = { SHIPFOX_DATA_DIR: dataDir, PORT: String(await freePort()) };
    const child = stage.addChild(new Child("interrupted control plane", CONTROL_PLANE, [], env));
    while (child.running && !(await isThere(join(dataDir, file)))) await pause(1);
    if (delayMs > 0) await pause(delayMs);
    await child.kill9();
    expect(await faultsOfDatabase(dataDir)).toEqual([]);

    const plane = await ControlPlane.start(stage, { dataDir });
    const instance = await Instance.create(stage, plane);
    const project = await instance.project({ "hand.yml": BY_HAND });
    const hand = await HandRunner.register(plane.url, await instance.registrationToken());
    const runId = await instance.fire(project, "By hand");
    await hand.finish(await hand.claim());
    expect((await instance.waitForRun(runId)).status).toBe("succeeded");
    await plane.stop();
  });
});
