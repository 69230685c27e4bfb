import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { ServedPlane, SUCCEEDED, type WireClaim } from "./served-plane.fixture.ts";
import { TestPlane } from "./test-plane.ts";

const HEAD = "name: test\nrunner: linux\njobs:\n";
const COMMIT = "a".repeat(40);

describeStores("checkout steps", (open) => {
  it("are handed out with what they name, filled when they start", async () => {
    const plane = await TestPlane.start(await open());
    const { sessionId } = await plane.register();
    const yaml = `${HEAD}  build:
    steps:
      - { name: first, checkout: {} }
      - { name: find, key: find, run: "true" }
      - name: second
        checkout:
          connection: forge
          repository: "\${{ inputs.group }}/\${{ steps.find.outputs.name }}"
          ref: "\${{ vars.BRANCH }}"
          path: libs/\${{ steps.find.outputs.name }}
          fetch-depth: 0
          persist-credentials: false
          permissions: { contents: write }
          force: true
`;
    await plane.fire(yaml, undefined, undefined, { inputs: { group: "acme" }, variables: { BRANCH: "next" } });
    const ran = await plane.work(sessionId, ({ name }) => (name === "find" ? { outputs: { name: "lib" } } : {}));
    expect(ran.filter(({ name }) => name !== "find").map(({ config }) => config)).toEqual([
      {
        checkout: {
          fetch_depth: 1,
          permissions: { contents: "read" },
          persist_credentials: true,
          path: ".",
        },
      },
      {
        checkout: {
          fetch_depth: 0,
          permissions: { contents: "write" },
          persist_credentials: false,
          force: true,
          connection: "forge",
          repository: "acme/lib",
          ref: "next",
          path: "libs/lib",
        },
      },
    ]);
  });

  it("that cannot be filled fail before they reach the runner, with the field", async () => {
    const plane = await TestPlane.start(await open());
    const { sessionId } = await plane.register();
    const runId = await plane.fire(`${HEAD}  build: { steps: [{ checkout: { ref: "\${{ inputs.nothing }}" } }] }\n`);
    expect(await plane.work(sessionId)).toEqual([]);
    expect((await plane.run(runId)).status).toBe("failed");
    const [, step] = await plane.store.read((tx) =>
      tx.all<{ error: string }>("select error from steps order by position"),
    );
    expect(JSON.parse(step?.error ?? "{}")).toMatchObject({
      reason: "config_unresolvable",
      field: "checkout.ref",
      source: "inputs.nothing",
    });
  });

  it("take the place of the checkout that a job starts with, where one is the first", async () => {
    const plane = await TestPlane.start(await open());
    const { sessionId } = await plane.register();
    const cache = "cache: { key: k, paths: [a] }";
    await plane.fire(
      `${HEAD}  first: { ${cache}, steps: [{ checkout: { path: app } }] }\n  later: { ${cache}, steps: [{ run: a }, { checkout: {} }] }\n`,
    );
    await plane.work(sessionId);
    const setups = await plane.store.read((tx) =>
      tx.all<{ config: string }>(
        `select s.config from steps s join job_executions e on e.id = s.job_execution_id join jobs j on j.id = e.job_id
         where s.position = 0 order by j.position`,
      ),
    );
    const [first, later] = setups.map(({ config }) => JSON.parse(config));
    expect(first).toEqual({ caches: expect.anything(), files_after_checkout: true });
    expect(later).toEqual({ caches: expect.anything(), checkout: expect.anything() });
  });

  const claimed = async (yaml: string, trigger: Parameters<TestPlane["fire"]>[3] = {}) => {
    const plane = await ServedPlane.start(await open());
    const runId = await plane.inside.fire(yaml, undefined, undefined, trigger);
    const session = await plane.session();
    return { plane, runId, session, job: (await plane.claim(session)).body as WireClaim };
  };
  const token = (plane: ServedPlane, step: { id: string; lease_token: string }) =>
    plane.call("POST", `/runs/jobs/current/steps/${step.id}/checkout-token?attempt=1`, { token: step.lease_token });
  const asked = { repository_url: "https://git.example/app" };

  it("of the project check out the commit of the run, which the first of them decides", async () => {
    const jobs = ["a", "b"].map(
      (key) => `  ${key}: { steps: [{ checkout: {} }, { checkout: { ref: v1 } }, { run: "true" }] }\n`,
    );
    const { plane, job, session } = await claimed(HEAD + jobs.join(""));
    const pass = async ({ lease_token: lease }: WireClaim, reported: object) => {
      const step = await plane.startedStep(lease);
      const answer = await token(plane, step);
      await plane.report(step.id, step.lease_token, { ...SUCCEEDED, ...reported });
      return answer.body;
    };
    const checkout = (ref: string, commit: string) => ({
      checkout: { repository: "https://git.example/app", ref, commit, path: "/workspace" },
    });
    expect(await pass(job, {})).toMatchObject({ code: "step-not-checkout" });
    expect(await pass(job, checkout("main", COMMIT))).toMatchObject({ ...asked, ref: "main", fetch_depth: 1 });
    expect(await pass(job, checkout("v1", "b".repeat(40)))).toMatchObject({ ...asked, ref: "v1", fetch_depth: 1 });
    expect(await pass(job, {})).toMatchObject({ code: "step-not-checkout" });
    const next = (await plane.claim(session)).body as WireClaim;
    await pass(next, {});
    expect(await pass(next, checkout(COMMIT, COMMIT))).toMatchObject({ ...asked, ref: COMMIT, fetch_depth: 1 });
    const outputs = await plane.inside.store.read((tx) =>
      tx.all<{ output: string }>("select output from steps where output is not null order by id"),
    );
    expect(JSON.parse(outputs[0]?.output ?? "{}")).toMatchObject(checkout("main", COMMIT));
  });

  it("publish what they declare, and nothing else", async () => {
    const plane = await TestPlane.start(await open());
    const { sessionId } = await plane.register();
    const runId = await plane.fire(`${HEAD}  a: { steps: [{ checkout: {}, outputs: { other: string } }] }\n`);
    await plane.work(sessionId);
    expect((await plane.run(runId)).jobs).toMatchObject([{ status: "failed" }]);
  });

  it("give the job of an untrusted run no credential to keep or to write with", async () => {
    const told: unknown[] = [];
    const yaml = `${HEAD}  a: { steps: [{ checkout: { permissions: { contents: write }, persist-credentials: true } }] }\n`;
    for (const untrusted of [false, true]) {
      const { plane, job } = await claimed(yaml, { untrusted });
      const setup = await plane.startedStep(job.lease_token);
      await plane.report(setup.id, setup.lease_token, SUCCEEDED);
      const step = await plane.startedStep(job.lease_token);
      const { body } = await token(plane, step);
      told.push([body.auth.persist, plane.checkouts.at(-1)?.untrusted]);
    }
    expect(told).toEqual([
      [true, false],
      [false, true],
    ]);
  });
});
