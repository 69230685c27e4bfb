import { runSchema } from "@shipfox/shared/api/runs";
import { describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { Gate } from "./src/gate.ts";
import { Instance, isOver, jobOf, runStep, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

const RELEASE = workflow(
  "Release",
  `  deploy:
    uses: ./.shipfox/workflows/deploy.yml
    with: { version: "v\${{ run.number }}" }
  announce:
    needs: deploy
    steps:
      - run: echo "announced \${{ jobs.deploy.outputs.url }}"
`,
);
/** Its second job fails until the gate is open. */
const deploy = (gate: Gate, path: string) => `name: Deploy
runner: linux
inputs: { version: { type: string, required: true } }
outputs: { url: "https://example.com/\${{ jobs.put.outputs.path }}" }
jobs:
  check:
    steps:
      - run: echo "checked \${{ inputs.version }}"
  put:
    needs: check
    outputs: { path: "\${{ steps.put.outputs.path }}" }
    steps:
      - key: put
        run: |
          echo "path=${path}-\${{ inputs.version }}" >> "$SHIPFOX_OUTPUT"
          ${gate.isOpen}
        outputs: { path: string }
`;

describe("a workflow that a job calls", () => {
  const stage = useStage();

  it("runs as it stood in the commit, also in a rerun of what failed, and hands its outputs on", async () => {
    const instance = await Instance.create(stage, await ControlPlane.start(stage));
    const gate = await Gate.create(stage);
    const project = await instance.project({ "release.yml": RELEASE, "deploy.yml": deploy(gate, "first") });
    await instance.runner();
    const runId = await instance.fire(project, "Release");
    const failed = await instance.waitForRun(runId);
    const statesOf = (run: typeof failed) => run.jobs.map(({ key, status }) => `${key} ${status}`);
    expect(statesOf(failed)).toEqual([
      "deploy failed",
      "deploy/check succeeded",
      "deploy/put failed",
      "announce skipped",
    ]);
    expect(failed.jobs[0]).toMatchObject({
      status_reason: "call_failed",
      call: { workflow: ".shipfox/workflows/deploy.yml", inputs: { version: "v1" } },
    });
    expect(await instance.logText(runStep(jobOf(failed, "deploy/check")).id)).toContain("checked v1");

    await project.repository.commit({ ".shipfox/workflows/deploy.yml": deploy(gate, "second") });
    await gate.open();
    await instance.api.post(runSchema, `/workflows/runs/${runId}/rerun`, { mode: "failed" });
    const rerun = await instance.waitForRun(runId, (run) => run.current_attempt === 2 && isOver(run));
    expect(statesOf(rerun).every((state) => state.endsWith(" succeeded"))).toBe(true);
    expect(jobOf(rerun, "deploy/check").carried_over).toBe(true);
    expect(await instance.logText(runStep(jobOf(rerun, "announce")).id)).toContain(
      "announced https://example.com/first-v1",
    );
    expect(rerun.source_snapshot?.called).toMatchObject([{ path: ".shipfox/workflows/deploy.yml" }]);
  });
});
