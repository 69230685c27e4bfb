import { setTimeout as pause } from "node:timers/promises";
import { fireManualReplySchema } from "@shipfox/shared/api/definitions";
import type { ShownRunEvent } from "@shipfox/shared/api/events";
import { claimReplySchema } from "@shipfox/shared/machine";
import { describe, expect, it } from "vitest";
import { Api } from "./src/api.ts";
import { ControlPlane, DEFAULT_TIMES } from "./src/control-plane.ts";
import { faultsOfEventLog } from "./src/event-log.ts";
import { followEvents, lastEventId } from "./src/event-stream.ts";
import { HandRunner } from "./src/hand-runner.ts";
import { Instance, workflow } from "./src/instance.ts";
import { addMembers } from "./src/members.ts";
import { startPostgres } from "./src/postgres.ts";
import { type Stage, useStage } from "./src/stage.ts";

const USERS = 20;
/** A user thinks at most so long before he goes on. */
const THINKING_MS = 400;
const RUNNERS = 4;
const DURATION_MS = 60_000;
const MIN_OPERATIONS = 2_000;
const LIMIT_MS = 600_000;
/** What a runner is told of a job whose run was cancelled. */
const GIVEN_UP = /: 40[49] |the job ended as|not answered with the next step/;
/** A run of two jobs, the second after the first. */
const CHAIN = workflow(
  "Chain",
  "  first:\n    checkout: false\n    steps:\n      - run: 'true'\n  second:\n    needs: first\n    checkout: false\n    steps:\n      - run: 'true'\n",
);

/** What one user did and was told. */
class User {
  readonly fired: string[] = [];
  /** Runs whose cancellation was acknowledged. */
  readonly cancelled = new Set<string>();
  readonly unexpected: string[] = [];
  operations = 0;
  readonly #api: Api;
  readonly #definitionId: string;

  constructor(api: Api, definitionId: string) {
    this.#api = api;
    this.#definitionId = definitionId;
  }

  async act(until: number): Promise<void> {
    while (performance.now() < until) {
      await pause(THINKING_MS * Math.random());
      await this.#fire();
      if (Math.random() < 0.5) await this.cancel(this.#any(), Math.random() < 0.2);
      if (Math.random() < 0.2) await this.#read(this.#any());
    }
  }

  async cancel(runId: string, force: boolean): Promise<void> {
    const answer = await this.#api.call("POST", `/workflows/runs/${runId}/cancel`, { body: { force } });
    this.operations += 1;
    if (answer.status === 200) this.cancelled.add(runId);
    else if (answer.status !== 409) this.unexpected.push(`cancel: ${answer.status} ${answer.text}`);
  }

  async #fire(): Promise<void> {
    const path = `/workflow-definitions/${this.#definitionId}/fire-manual`;
    const answer = await this.#api.call("POST", path, { body: {} });
    this.operations += 1;
    if (answer.status === 201 || answer.status === 200)
      this.fired.push(fireManualReplySchema.parse(answer.body).workflow_run_id);
    else this.unexpected.push(`fire: ${answer.status} ${answer.text}`);
  }

  async #read(runId: string): Promise<void> {
    const answer = await this.#api.call("GET", `/workflows/runs/${runId}`);
    this.operations += 1;
    if (answer.status !== 200) this.unexpected.push(`read: ${answer.status} ${answer.text}`);
  }

  #any(): string {
    return this.fired[Math.floor(Math.random() * this.fired.length)] ?? "";
  }
}

/** Works on jobs until `isOver`; jobs that are cancelled under its hands are given up. Answers what it did not expect. */
async function work(runner: HandRunner, isOver: () => boolean): Promise<string[]> {
  const unexpected: string[] = [];
  while (!isOver()) {
    const answer = await runner.claimCall({ waitSeconds: 1 });
    if (answer.status === 204) continue;
    try {
      await runner.finish(claimReplySchema.parse(answer.body));
    } catch (error) {
      if (!GIVEN_UP.test(String(error))) unexpected.push(`${String(error)} (claim: ${answer.status})`);
    }
  }
  return unexpected;
}

async function expectSoundMinute(stage: Stage, databaseUrl: string | null): Promise<void> {
  const plane = await ControlPlane.start(stage, {
    // Nobody renews the leases here.
    times: DEFAULT_TIMES,
    env: {
      SHIPFOX_ALLOW_SIGNUP: "true",
      SHIPFOX_LOGIN_LIMIT_PER_ADDRESS: "0",
      ...(databaseUrl === null ? {} : { SHIPFOX_DATABASE_URL: databaseUrl }),
    },
  });
  const instance = await Instance.create(stage, plane);
  const project = await instance.project({ "chain.yml": CHAIN });
  const definitionId = (await instance.definitions(project.id)).definitions[0]?.id ?? "";
  const { workspaceId, api } = instance;

  const accounts = await Promise.all(
    Array.from({ length: USERS }, (_, index) =>
      new Api(plane.url).client.auth.signUp({
        email: `user${index}@example.com`,
        password: "correct horse battery",
        name: `User ${index}`,
      }),
    ),
  );
  await addMembers(
    { dataDir: plane.dataDir, databaseUrl },
    instance.workspaceId,
    accounts.map(({ user }) => user.id),
  );
  const users = accounts.map(({ token }) => new User(new Api(plane.url, token), definitionId));
  const token = await instance.registrationToken();
  const runners = await Promise.all(Array.from({ length: RUNNERS }, () => HandRunner.register(plane.url, token)));

  let isOver = false;
  let last = Number.POSITIVE_INFINITY;
  const working = runners.map((runner) => work(runner, () => isOver));
  // Two who read along all the time; one of them is cut off again and again.
  const isLast = (event: ShownRunEvent) => event.id >= last;
  const stream: Parameters<typeof followEvents>[0] = (after, options) =>
    api.client.events.followWorkspace({ workspaceId, after }, options);
  const following = [
    followEvents(stream, { after: "0", isLast }),
    followEvents(stream, { after: "0", isLast, breakEvery: 500 }),
  ];
  const until = performance.now() + DURATION_MS;
  await Promise.all(users.map((user) => user.act(until)));
  for (const user of users) {
    for (const runId of user.fired) if (!user.cancelled.has(runId)) await user.cancel(runId, false);
  }
  isOver = true;
  const faultsOfRunners = (await Promise.all(working)).flat();
  last = await lastEventId(api, workspaceId);
  // One run more, so that those who read along come to know that they have it all.
  await instance.fire(project, "Chain");
  const [whole = [], broken = []] = (await Promise.all(following)).map(({ events }) =>
    events.filter((event) => event.id <= last),
  );

  const operations = users.reduce((sum, user) => sum + user.operations, 0);
  expect(operations).toBeGreaterThanOrEqual(MIN_OPERATIONS);
  expect([...users.flatMap((user) => user.unexpected), ...faultsOfRunners]).toEqual([]);
  expect(whole.length).toBe(last);
  expect(broken.map((event) => event.id)).toEqual(whole.map((event) => event.id));
  expect(faultsOfEventLog(whole)).toEqual([]);
  const ended = new Map(
    whole.flatMap((event) => (event.type === "run.finished" ? [[event.run_id, event.payload.status] as const] : [])),
  );
  expect(new Set(ended.keys())).toEqual(new Set(users.flatMap((user) => user.fired)));
  for (const user of users) for (const runId of user.cancelled) expect(ended.get(runId)).toBe("cancelled");
}

describe("20 users who fire and cancel for a minute", () => {
  const stage = useStage();
  it(
    "leave a sound event log behind, which those who read along have whole",
    () => expectSoundMinute(stage, null),
    LIMIT_MS,
  );
});

describe("[postgres] 20 users who fire and cancel for a minute", () => {
  const stage = useStage();
  it(
    "leave a sound event log behind, which those who read along have whole",
    async () => expectSoundMinute(stage, await startPostgres(stage)),
    LIMIT_MS,
  );
});
