import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { annotationsReplySchema, annotationSummarySchema } from "@shipfox/shared/api/annotations";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runSteps, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

const HANDING_OVER = workflow(
  "Handing over",
  `  job:
    steps:
      - name: Prepare
        run: |
          mkdir -p tools sub
          printf '#!/bin/sh\\necho "my tool"\\n' > tools/mytool
          chmod +x tools/mytool
          echo "$PWD/tools" >> "$SHIPFOX_PATH"
          echo "LEVEL=from a step" >> "$SHIPFOX_ENV"
          echo '# All good' > "$SHIPFOX_STEP_SUMMARY"
          echo '{"context":"coverage","style":"success","body":"91 %"}' > "$SHIPFOX_ANNOTATIONS_DIR/1.json"
          ln -s /etc/passwd "$SHIPFOX_ANNOTATIONS_DIR/2.json"
          echo 'echo "cleaned up $LEVEL in $PWD"' >> "$SHIPFOX_POST_JOB"
          ln -s "$SHIPFOX_WORKSPACE/sub" inside
          ln -s / outside
      - name: Use
        run: |
          echo "level: $LEVEL"
          mytool
          echo "::group::Types"
          echo "::error file=src/a.ts,line=3,title=Types::no such name"
          echo "::endgroup::"
          echo "::stop-commands::pause-1234"
          echo "::error::this is only text"
          echo "::pause-1234::"
          exit 5
`,
);
const FOLDERS = workflow(
  "Folders",
  `  job:
    steps:
      - run: mkdir sub; ln -s "$SHIPFOX_WORKSPACE/sub" link
      - run: pwd -P
        working_directory: link
      - run: echo never
        working_directory: missing
`,
);
const TAMPERING = workflow(
  "Tampering",
  `  job:
    steps:
      - run: |
          echo "NODE_OPTIONS=--require /tmp/x.js" >> "$SHIPFOX_ENV"
      - run: echo never
`,
);

/** Each attempt of the editing step appends a line; the gate wants two. */
const DECIDING = workflow(
  "Deciding",
  `  measure:
    outputs: { lines: "\${{ steps.count.outputs.lines }}" }
    steps:
      - key: edit
        name: Edit
        run: |
          echo "attempt" \${{ step.attempt }} "was told: \${{ step.is_retry ? step.restart.feedback : 'nothing' }}"
          echo line >> lines.txt
      - key: count
        name: Count
        run: echo "lines=$(wc -l < lines.txt)" >> "$SHIPFOX_OUTPUT"
        outputs: { lines: number }
        gate:
          success: step.exit_code == 0 && step.outputs.lines > 1.0
          on_failure: { restart_from: edit, feedback: "only \${{ step.outputs.lines }}" }
      - name: Never
        if: \${{ execution.failed }}
        run: echo never
  report:
    needs: measure
    if: \${{ jobs.measure.outputs.lines == 2.0 }}
    steps:
      - name: Break
        run: exit 4
      - name: Tell
        if: \${{ execution.failed }}
        env: { WHO: "\${{ inputs.who }}" }
        run: echo "$WHO sees" \${{ inputs.who }} '\${{ jobs.measure.outputs.lines }} lines'
`,
).replace("event: fire\n", "event: fire\n    inputs: { who: { type: string } }\n");

describe.each([
  { sandbox: "docker" as const, tag: "[docker]" },
  { sandbox: "host" as const, tag: "[host]" },
])("$tag the steps of a job in the $sandbox sandbox", ({ sandbox }) => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    const plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({
      "handing-over.yml": HANDING_OVER,
      "folders.yml": FOLDERS,
      "tampering.yml": TAMPERING,
      "deciding.yml": DECIDING,
    });
    const hook = join(await stage.folder("hook"), "pre-job");
    await writeFile(hook, '#!/bin/sh\necho "hook $SHIPFOX_HOOK for $SHIPFOX_JOB_KEY"\n');
    await chmod(hook, 0o755);
    await instance.runner({ sandbox, env: { SHIPFOX_RUNNER_PRE_JOB_HOOK: hook } });
  });

  it("hand variables, folders, annotations and clean-ups over", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Handing over"));
    expect(run.status).toBe("failed");
    const job = jobOf(run, "job");
    const [prepare, use] = runSteps(job);
    if (!prepare || !use) throw new Error("the job has two steps");
    expect([prepare.status, use.exit_code]).toEqual(["succeeded", 5]);

    const log = await instance.logText(use.id);
    expect(log).toContain("level: from a step\nmy tool\n");
    expect(log).toContain("::error file=src/a.ts,line=3,title=Types::no such name\n");
    expect(log).toMatch(/Clean-up registered by the step "Prepare":\ncleaned up \S* ?in \S*workspace\n/);
    expect(await instance.logText(prepare.id)).toContain(
      '"2.json" of SHIPFOX_ANNOTATIONS_DIR is skipped: it is not a regular file.',
    );
    const setup = newestExecution(job).steps.find(({ type }) => type === "setup");
    expect(await instance.logText(setup?.id ?? "")).toContain("hook pre-job for job\n");

    const of = `workflow_run_id=${run.id}&attempt=1`;
    const { annotations } = await instance.api.get(annotationsReplySchema, `/annotations?${of}`);
    expect(
      annotations.map(({ context, style, origin_step_id, body }) => [context, style, origin_step_id, body]),
    ).toEqual([
      ["default", "default", prepare.id, "# All good\n"],
      ["coverage", "success", prepare.id, "91 %"],
      [expect.any(String), "error", use.id, "**Types** `src/a.ts:3`\n\n```text\nno such name\n```"],
    ]);
    const summary = await instance.api.get(annotationSummarySchema, `/annotations/summary?${of}`);
    expect(summary).toMatchObject({ total: 3, error: 1, success: 1 });
  });

  it("start in a folder that means the same inside, and fail in words without one", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Folders"));
    const [, linked, missing] = runSteps(jobOf(run, "job"));
    expect(linked?.status).toBe("succeeded");
    expect(await instance.logText(linked?.id ?? "")).toMatch(/\/sub\n$/);
    expect(missing).toMatchObject({ status: "failed", error: { field: "working_directory" } });
    expect(await instance.logText(missing?.id ?? "")).not.toContain("never\n/");
  });

  it("cannot set for later steps what changes how programs start", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Tampering"));
    const [first, second] = runSteps(jobOf(run, "job"));
    expect(first).toMatchObject({
      status: "failed",
      exit_code: 0,
      error: { reason: "output_invalid", message: expect.stringContaining("NODE_OPTIONS cannot be set") },
    });
    expect(second?.status).toBe("skipped");
  });

  it("decide by conditions, gates and outputs what runs, and get values that are never code", async () => {
    const who = "$(touch pwned); `id` \"'";
    const run = await instance.waitForRun(await instance.fire(project, "Deciding", { who }));
    const [edit, count, never] = runSteps(jobOf(run, "measure"));
    expect([edit, count, never].map((step) => `${step?.status} ${step?.attempts.length}`)).toEqual([
      "succeeded 2",
      "succeeded 2",
      "skipped 0",
    ]);
    expect(await instance.logText(edit?.id ?? "", 1)).toContain("attempt 1 was told: nothing\n");
    expect(await instance.logText(edit?.id ?? "", 2)).toContain("attempt 2 was told: only 1\n");
    expect(count?.attempts.map(({ gate_result }) => gate_result?.kind)).toEqual(["failed", "passed"]);
    expect(jobOf(run, "measure").outputs).toEqual({ lines: 2 });
    const [broken, tell] = runSteps(jobOf(run, "report"));
    expect([broken?.status, tell?.status, run.status]).toEqual(["failed", "succeeded", "failed"]);
    expect(await instance.logText(tell?.id ?? "")).toContain(`${who} sees ${who} 2 lines\n`);
  });
});
