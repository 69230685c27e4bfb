import { annotationsReplySchema } from "@shipfox/shared/api/annotations";
import { setSecretsReplySchema, setVariablesReplySchema } from "@shipfox/shared/api/scoped-values";
import { beforeAll, describe, expect, it } from "vitest";
import { attack } from "./src/attack.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { eventually } from "./src/eventually.ts";
import { filesWith } from "./src/files-with.ts";
import { Instance, jobOf, type ProjectHandle, runStep, runSteps, workflow } from "./src/instance.ts";
import { followLog } from "./src/log-stream.ts";
import type { Runner } from "./src/runner.ts";
import { useStage } from "./src/stage.ts";

/** Nothing that was ever written may hold one of these. */
const CANARY = "c4n4ry-'quoted'/with+signs&more";
const KEY = `-----BEGIN KEY-----\n${"Q7xkR2mZ9vB4".repeat(5)}\n${"w8NpL3tY6hJ1".repeat(5)}\n-----END KEY-----`;
const KEY_LINE = "Q7xkR2mZ9vB4".repeat(5);

const PRINT = workflow(
  "Print",
  `  job:
    checkout: false
    env:
      TOKEN: \${{ secrets.TOKEN }}
      HEADER: "Bearer \${{ secrets.TOKEN }} for \${{ vars.REGION }}"
    steps:
      - run: |
          echo "plain $TOKEN"; echo "header $HEADER"; echo "run" \${{ secrets.TOKEN }} \${{ vars.REGION }}
          printf %s "$TOKEN" | base64; printf 'x%s' "$TOKEN" | base64 -w 0; echo
          printf %s "$TOKEN" | od -An -tx1 | tr -d ' \\n'; echo
          printf '%q\\n' "$TOKEN"
          printf %s "$TOKEN" | head -c 9; sleep 0.2; printf %s "$TOKEN" | tail -c +10; echo
          echo "$KEY"; echo "$KEY" | base64; echo "$KEY" | sed -n 2p >&2
          echo "length \${#TOKEN} \${#KEY}"
          echo "token=$TOKEN" >> "$SHIPFOX_OUTPUT"
          echo "::error::it is $TOKEN"
          echo "# It is $TOKEN" >> "$SHIPFOX_STEP_SUMMARY"
        env:
          KEY: \${{ secrets.local.KEY }}
      - run: echo "second $TOKEN"; echo "other [\${KEY:-}]"
`,
);
const MISSING = workflow(
  "Missing",
  `  job:\n    checkout: false\n    steps:\n      - run: echo never\n        env: { A: "\${{ secrets.NOT_THERE }}" }\n`,
);
const UNSET = workflow(
  "Unset",
  `  job:\n    checkout: false\n    steps:\n      - run: echo never \${{ vars.NOT_THERE }}\n`,
);

describe.each([
  { sandbox: "docker" as const, tag: "[docker]" },
  { sandbox: "host" as const, tag: "[host]" },
])("$tag secrets in the $sandbox sandbox", ({ sandbox }) => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;
  let runner: Runner;

  const set = (key: string, value: string) =>
    instance.api.post(setSecretsReplySchema, `/workspaces/${instance.workspaceId}/secrets:batch`, {
      entries: [{ key, value }],
    });

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "print.yml": PRINT, "missing.yml": MISSING, "unset.yml": UNSET });
    await set("TOKEN", CANARY);
    await set("KEY", KEY);
    const path = `/workspaces/${instance.workspaceId}/variables:batch`;
    await instance.api.post(setVariablesReplySchema, path, { entries: [{ key: "REGION", value: "eu-west" }] });
    runner = await instance.runner({ sandbox });
  });

  it(`${attack(14, `in the log, its stream, raw text, annotations and outputs, ${sandbox}`)}`, async () => {
    const runId = await instance.fire(project, "Print");
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    const [first, second] = runSteps(jobOf(run, "job"));
    if (!first || !second) throw new Error("the job has two steps");
    expect(first.outputs).toEqual({ token: "***" });
    const log = await instance.logText(first.id);
    expect(log).toContain(`length ${CANARY.length} ${KEY.length}`);
    expect(log).toContain("plain ***\nheader Bearer *** for eu-west\nrun *** eu-west\n");
    expect(await instance.logText(second.id)).toContain("second ***\nother []\n");
    const path = `/annotations?workflow_run_id=${runId}&attempt=1`;
    const { annotations } = await instance.api.get(annotationsReplySchema, path);
    expect(JSON.stringify(annotations)).toContain("It is ***");

    const needles = [CANARY, KEY_LINE, CANARY.slice(0, 12), KEY_LINE.slice(0, 16)].flatMap((text) => [
      text,
      Buffer.from(text).toString("base64").slice(0, -4),
      Buffer.from(`x${text}`).toString("base64").slice(4, -4),
      Buffer.from(text).toString("hex"),
    ]);
    const streamed = JSON.stringify(await followLog(instance.api, first.id));
    const raw = (await instance.api.call("GET", `/steps/${first.id}/attempts/1/logs/raw`)).text;
    const answers = [log, streamed, raw, JSON.stringify(annotations), JSON.stringify(await instance.run(runId))];
    for (const text of [...answers, runner.child.output, plane.child.output]) {
      for (const needle of needles) expect(text).not.toContain(needle);
    }
    // What the step itself wrote for the runner goes with the job's clean-up, which comes after its result.
    await eventually("no file holds a secret", async () =>
      filesWith([plane.dataDir, runner.stateDir], needles).length === 0 ? true : null,
    );
  });

  it("that are missing fail the step before its command starts", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Missing"));
    expect(run.status).toBe("failed");
    const step = runStep(jobOf(run, "job"));
    expect(step.error).toMatchObject({
      reason: "config_unresolvable",
      field: "env.A",
      source: "secrets.NOT_THERE",
      message: expect.stringContaining("NOT_THERE"),
    });
    expect(await instance.logText(step.id)).not.toMatch(/^never/m);
  });

  it("are read when the step starts, and a missing variable keeps the run from being created", async () => {
    await set("NOT_THERE", "a value that is there now");
    expect((await instance.waitForRun(await instance.fire(project, "Missing"))).status).toBe("succeeded");
    await expect(instance.fire(project, "Unset")).rejects.toMatchObject({
      code: "workflow-interpolation-unresolvable",
    });
  });
});
