import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { type PlayedResult, type PlayedStep, TestPlane } from "./test-plane.ts";

type Script = (step: PlayedStep) => PlayedResult;
type Files = Record<string, string>;

const HEAD = "name: test\nrunner: linux\n";
const nameOf = ({ job, name }: PlayedStep) => `${job}.${name}`;
const fails =
  (...names: string[]): Script =>
  (step) => ({ exit: names.includes(nameOf(step)) ? 3 : 0 });

/** A caller of `deploy.yml` with a job before it and one behind it. */
const CALLER = `${HEAD}jobs:
  build:
    outputs: { version: "\${{ steps.make.outputs.version }}", parts: "\${{ steps.make.outputs.parts }}" }
    steps: [{ name: make, key: make, run: "true", outputs: { version: string, parts: number } }]
  deploy:
    needs: build
    uses: ./.shipfox/workflows/deploy.yml
    with: { version: "v\${{ jobs.build.outputs.version }}", parts: "\${{ jobs.build.outputs.parts }}" }
  announce:
    needs: deploy
    steps: [{ name: say, run: "true", env: { URL: "\${{ jobs.deploy.outputs.url }}", IN: "\${{ inputs }}" } }]
`;
const DEPLOY = `${HEAD}inputs:
  version: { type: string, required: true }
  parts: { type: number }
  region: { type: choice, options: [eu, us], default: eu }
outputs: { url: "https://\${{ jobs.place.outputs.host }}/\${{ inputs.version }}" }
jobs:
  check:
    steps: [{ name: look, run: "true", env: { V: "\${{ inputs.version }}", P: "\${{ inputs.parts }}" } }]
  place:
    needs: check
    outputs: { host: "\${{ inputs.region }}.example" }
    steps: [{ name: put, run: "true", env: { AFTER: "\${{ needs[0].key }} \${{ jobs.check.status }} \${{ job.key }}" } }]
`;
const MADE: Script = (step) => (step.job === "build" ? { outputs: { version: "7", parts: "3" } } : {});

describeStores("a called workflow", (open) => {
  async function start() {
    const plane = await TestPlane.start(await open());
    const { sessionId } = await plane.register();
    return { plane, sessionId };
  }
  const fire = (plane: TestPlane, yaml: string, files: Files, inputs: Record<string, unknown> | null = null) =>
    plane.fire(yaml, plane.projectId, "wait", { files, inputs });
  /** Of its newest attempt. */
  const jobsOf = (plane: TestPlane, runId: string) =>
    plane.store.read(async (tx) => {
      const rows = await tx.all<{ key: string; status: string; status_reason: string | null }>(
        `select j.key, j.status, j.status_reason from jobs j join run_attempts a on a.id = j.run_attempt_id
         join runs r on r.id = a.run_id and r.current_attempt = a.attempt where r.id = ? order by j.position`,
        [runId],
      );
      return rows.map(({ key, status, status_reason }) => [key, status, status_reason].join(" ").trim());
    });
  const row = (plane: TestPlane, runId: string, key: string) =>
    plane.store.read((tx) =>
      tx.get<Record<string, string | null>>("select * from jobs where run_id = ? and key = ?", [runId, key]),
    );

  it("runs behind the job that calls it, with its inputs, and hands its outputs to who needs that job", async () => {
    const { plane, sessionId } = await start();
    const runId = await fire(plane, CALLER, { "deploy.yml": DEPLOY }, { who: "me" });
    const ran = await plane.work(sessionId, MADE);
    expect(ran.map(nameOf)).toEqual(["build.make", "deploy/check.look", "deploy/place.put", "announce.say"]);
    expect(ran.map(({ config }) => config["env"])).toEqual([
      undefined,
      { V: "v7", P: "3" },
      { AFTER: "check succeeded place" },
      { URL: "https://eu.example/v7", IN: '{"who":"me"}' },
    ]);
    expect(await jobsOf(plane, runId)).toEqual([
      "build succeeded",
      "deploy succeeded",
      "deploy/check succeeded",
      "deploy/place succeeded",
      "announce succeeded",
    ]);
    const call = await row(plane, runId, "deploy");
    expect(JSON.parse(call?.["inputs"] ?? "")).toEqual({ version: "v7", parts: 3, region: "eu" });
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  it("fails its call when one of its jobs fails, which skips who needs the call", async () => {
    const { plane, sessionId } = await start();
    const runId = await fire(plane, CALLER, { "deploy.yml": DEPLOY });
    await plane.work(sessionId, (step) => ({ ...MADE(step), exit: step.job === "deploy/check" ? 1 : 0 }));
    expect(await jobsOf(plane, runId)).toEqual([
      "build succeeded",
      "deploy failed call_failed",
      "deploy/check failed step_failed",
      "deploy/place skipped default_gate_rejected",
      "announce skipped default_gate_rejected",
    ]);
    expect((await plane.run(runId)).status).toBe("failed");
  });

  it("runs again what did not succeed in a rerun of what failed, with the results of what did", async () => {
    const { plane, sessionId } = await start();
    const runId = await fire(plane, CALLER, { "deploy.yml": DEPLOY });
    await plane.work(sessionId, (step) => ({ ...MADE(step), exit: step.job === "deploy/place" ? 1 : 0 }));
    await plane.rerun(runId, "failed");
    const ran = await plane.work(sessionId, MADE);
    expect(ran.map(nameOf)).toEqual(["deploy/place.put", "announce.say"]);
    expect(ran[1]?.config["env"]).toMatchObject({ URL: "https://eu.example/v7" });
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  it("is carried over as a whole when it succeeded", async () => {
    const { plane, sessionId } = await start();
    const inner = `${HEAD}jobs:
  a: { steps: [{ name: x, run: "true" }] }
  never: { if: "\${{ inputs.go == true }}", steps: [{ name: x, run: "true" }] }
`;
    const yaml = `${HEAD}jobs:
  call: { uses: ./.shipfox/workflows/a.yml }
  last: { needs: call, steps: [{ name: x, run: "true" }] }
`;
    const runId = await fire(plane, yaml, { "a.yml": inner });
    await plane.work(sessionId, fails("last.x"));
    await plane.rerun(runId, "failed");
    expect((await plane.work(sessionId)).map(nameOf)).toEqual(["last.x"]);
    expect(await jobsOf(plane, runId)).toEqual([
      "call succeeded",
      "call/a succeeded",
      "call/never skipped",
      "last succeeded",
    ]);
  });

  it("ends its call in a rerun where only the call has to run again", async () => {
    const { plane, sessionId } = await start();
    const inner = `${HEAD}outputs: { v: "\${{ jobs.a.outputs.none }}" }\njobs:\n  a: { steps: [{ name: x, run: "true" }] }\n`;
    const runId = await fire(plane, `${HEAD}jobs:\n  call: { uses: ./.shipfox/workflows/a.yml }\n`, { "a.yml": inner });
    await plane.work(sessionId);
    expect(await jobsOf(plane, runId)).toEqual(["call failed output_invalid", "call/a succeeded"]);
    await plane.rerun(runId, "failed");
    expect(await plane.work(sessionId)).toEqual([]);
    expect(await jobsOf(plane, runId)).toEqual(["call failed output_invalid", "call/a succeeded"]);
    expect((await plane.run(runId)).status).toBe("failed");
  });

  it("does not run when its call is skipped, not even jobs with a condition", async () => {
    const { plane, sessionId } = await start();
    const inner = `${HEAD}jobs:
  a: { if: "\${{ true }}", steps: [{ name: x, run: "true" }] }
  b: { uses: ./.shipfox/workflows/b.yml }
`;
    const yaml = `${HEAD}jobs:
  call: { if: "\${{ inputs.go == true }}", uses: ./.shipfox/workflows/a.yml }
  last: { needs: call, if: "\${{ jobs.call.status == 'skipped' }}", steps: [{ name: x, run: "true" }] }
`;
    const files = { "a.yml": inner, "b.yml": `${HEAD}jobs:\n  c: { steps: [{ name: x, run: "true" }] }\n` };
    const skipped = await fire(plane, yaml, files);
    expect((await plane.work(sessionId)).map(nameOf)).toEqual(["last.x"]);
    expect(await jobsOf(plane, skipped)).toEqual([
      "call skipped condition_errored",
      "call/a skipped default_gate_rejected",
      "call/b skipped default_gate_rejected",
      "call/b/c skipped default_gate_rejected",
      "last succeeded",
    ]);
    await fire(plane, yaml, files, { go: true });
    expect((await plane.work(sessionId)).map(nameOf)).toEqual(["call/a.x", "call/b/c.x"]);
  });

  it("does not start with an input that has another type than declared", async () => {
    const { plane, sessionId } = await start();
    const runId = await fire(plane, CALLER, {
      "deploy.yml": DEPLOY.replace("parts: { type: number }", "parts: { type: boolean }"),
    });
    await plane.work(sessionId, MADE);
    expect((await jobsOf(plane, runId)).slice(1)).toEqual([
      "deploy failed unknown",
      "deploy/check skipped default_gate_rejected",
      "deploy/place skipped default_gate_rejected",
      "announce skipped default_gate_rejected",
    ]);
    const call = await row(plane, runId, "deploy");
    expect(call?.["status_reason_message"]).toBe("the input `parts` of the called workflow must be a boolean");
  });

  it("is called with the inputs of the call in which it stands, and hands outputs through", async () => {
    const { plane, sessionId } = await start();
    const files = {
      "outer.yml": `${HEAD}inputs: { v: { type: string } }
outputs: { v: "\${{ jobs.core.outputs.v }}" }
jobs:
  core: { uses: ./.shipfox/workflows/inner.yml, with: { v: "\${{ inputs.v }}b" } }
`,
      "inner.yml": `${HEAD}inputs: { v: { type: string } }
outputs: { v: "\${{ jobs.x.outputs.v }}c" }
jobs:
  x: { outputs: { v: "\${{ inputs.v }}" }, steps: [{ name: x, run: "true" }] }
`,
    };
    const yaml = `${HEAD}jobs:
  out: { uses: ./.shipfox/workflows/outer.yml, with: { v: "a\${{ vars.V }}" } }
  last: { needs: out, steps: [{ name: x, run: "true", env: { V: "\${{ jobs.out.outputs.v }}" } }] }
`;
    const runId = await plane.fire(yaml, plane.projectId, "wait", { files, variables: { V: "_" } });
    const ran = await plane.work(sessionId);
    expect(ran.map(nameOf)).toEqual(["out/core/x.x", "last.x"]);
    expect(ran[1]?.config["env"]).toEqual({ V: "a_bc" });
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  const MATRIX = `${HEAD}jobs:
  call:
    matrix: { region: [eu, us, ap], max_parallel: 2 }
    uses: ./.shipfox/workflows/a.yml
    with: { region: "\${{ matrix.region }}" }
`;
  const REGION = `${HEAD}inputs: { region: { type: string } }
jobs:
  a:
    matrix: { n: [1, 2] }
    steps: [{ name: x, run: "true", env: { R: "\${{ inputs.region }} \${{ matrix.n }}" } }]
`;

  it("runs once for each combination of a matrix, within its bounds", async () => {
    const { plane, sessionId } = await start();
    const runId = await fire(plane, MATRIX, { "a.yml": REGION });
    expect((await plane.run(runId)).jobs.filter(({ status }) => status === "running").map(({ key }) => key)).toEqual([
      "call (eu)",
      "call (us)",
    ]);
    const ran = await plane.work(sessionId);
    expect(ran.map(({ job, config }) => [job, config["env"]])).toEqual(
      ["eu", "us", "ap"].flatMap((region) => [1, 2].map((n) => [`call (${region})/a (${n})`, { R: `${region} ${n}` }])),
    );
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  it("is cancelled with its call when another of the matrix fails", async () => {
    const { plane, sessionId } = await start();
    const runId = await fire(plane, MATRIX, { "a.yml": REGION });
    await plane.work(sessionId, fails("call (eu)/a (1).x"));
    expect(await jobsOf(plane, runId)).toEqual([
      "call (eu) failed call_failed",
      "call (eu)/a (1) failed step_failed",
      "call (eu)/a (2) cancelled matrix_failed",
      ...["us", "ap"].flatMap((region) => [
        `call (${region}) cancelled matrix_failed`,
        `call (${region})/a (1) cancelled matrix_failed`,
        `call (${region})/a (2) cancelled matrix_failed`,
      ]),
    ]);
    expect((await plane.run(runId)).status).toBe("failed");
  });

  it("is cancelled with its run", async () => {
    const { plane, sessionId } = await start();
    const runId = await fire(
      plane,
      `${HEAD}jobs:\n  call: { uses: ./.shipfox/workflows/d.yml, with: { version: x, parts: 1 } }\n`,
      {
        "d.yml": DEPLOY,
      },
    );
    await plane.cancel(runId);
    expect(await plane.claim(sessionId)).toBeNull();
    expect(await jobsOf(plane, runId)).toEqual([
      "call cancelled run_cancelled",
      "call/check cancelled run_cancelled",
      "call/place cancelled run_cancelled",
    ]);
    await plane.rerun(runId, "failed");
    expect((await plane.work(sessionId)).map(nameOf)).toEqual(["call/check.look", "call/place.put"]);
    expect((await plane.run(runId)).status).toBe("succeeded");
  });
});
