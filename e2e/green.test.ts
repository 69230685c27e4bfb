import { definitionsReplySchema } from "@shipfox/shared/api/definitions";
import { runsReplySchema } from "@shipfox/shared/api/runs";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { eventually } from "./src/eventually.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runStep, runSteps, workflow } from "./src/instance.ts";
import { followLog, outputOf } from "./src/log-stream.ts";
import { Repository } from "./src/repository.ts";
import type { Runner } from "./src/runner.ts";
import { useStage } from "./src/stage.ts";

const GREEN = workflow(
  "Green",
  `  build:
    env: { LEVEL: job, FROM_JOB: "yes" }
    steps:
      - key: compile
        name: Compile
        env: { LEVEL: step }
        run: |
          echo "level $LEVEL, from job $FROM_JOB"
          env | sort
          echo "artifact=app-1.0" >> "$SHIPFOX_OUTPUT"
          printf 'notes<<END\\nfirst\\nsecond\\nEND\\n' >> "$SHIPFOX_OUTPUT"
      - run: |
          git log --format=%s
          git rev-parse HEAD
          git status --porcelain
          cat README.md
        working_directory: .
  test:
    needs: build
    steps:
      - run: |
          for i in $(seq 1 300); do echo "line $i"; done
          echo "to stderr" >&2
`,
);

const RED = workflow(
  "Red",
  `  broken:
    steps:
      - run: echo before; exit 7
      - run: echo never
  after:
    needs: broken
    steps:
      - run: echo never
`,
);

const IMAGE = workflow("Image", "  job:\n    image: shipfox/sandbox:1\n    steps:\n      - run: node --version\n");
const IN_SUBFOLDER = workflow(
  "Subfolder",
  "  job:\n    steps:\n      - run: pwd; cat here.txt\n        working_directory: sub/folder\n",
);
const CHECKOUT = workflow(
  "Checkout",
  "  job:\n    checkout: { fetch-depth: 0, submodules: true }\n    steps:\n      - run: echo commits $(git log --format=%s | wc -l); cat lib/lib.txt; git submodule status\n",
);

describe.each([
  { sandbox: "docker" as const, tag: "[docker]" },
  { sandbox: "host" as const, tag: "[host]" },
])("$tag a run in the $sandbox sandbox", ({ sandbox }) => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;
  let runner: Runner;

  beforeAll(async () => {
    const plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project(
      {
        "green.yml": GREEN,
        "red.yaml": RED,
        "image.yml": IMAGE,
        "subfolder.yml": IN_SUBFOLDER,
        "checkout.yml": CHECKOUT,
      },
      { "sub/folder/here.txt": "I am here\n" },
    );
    runner = await instance.runner({ sandbox });
  });

  it("brings the history and the submodules that a job asks for", async () => {
    const library = await Repository.create(stage, { "lib.txt": "from the library\n" });
    const { repository } = project;
    const at = await library.git("rev-parse", "HEAD");
    await repository.commit({ ".gitmodules": `[submodule "lib"]\n\tpath = lib\n\turl = ${library.url}\n` });
    await repository.git("update-index", "--add", "--cacheinfo", `160000,${at},lib`);
    await repository.git("commit", "--quiet", "--message=Change");
    const runId = await instance.fire(project, "Checkout");
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    const lines = (await instance.logText(runStep(jobOf(run, "job")).id)).split("\n");
    expect(lines).toContain("commits 3");
    expect(lines).toContain("from the library");
    expect(lines.join("\n")).toContain(`${at} lib`);
  });

  it("goes from the repository's workflow file to a green job with its log, outputs and results", async () => {
    const head = await project.repository.git("rev-parse", "HEAD");
    const runId = await instance.fire(project, "Green", { who: "world" });
    const run = await instance.waitForRun(runId);

    expect(run.status).toBe("succeeded");
    expect(run.inputs).toEqual({ who: "world" });
    expect(run.jobs.map((job) => [job.key, job.status, job.dependencies])).toEqual([
      ["build", "succeeded", []],
      ["test", "succeeded", ["build"]],
    ]);
    const [compile, checkout] = runSteps(jobOf(run, "build"));
    if (!compile || !checkout) throw new Error("the job has two steps");
    expect(compile).toMatchObject({ key: "compile", name: "Compile", status: "succeeded", exit_code: 0 });
    expect(compile.outputs).toEqual({ artifact: "app-1.0", notes: "first\nsecond" });

    const environment = await instance.logText(compile.id);
    expect(environment).toContain("level step, from job yes\n");
    for (const line of [
      "CI=true",
      `SHIPFOX_RUN_ID=${runId}`,
      `SHIPFOX_WORKSPACE_ID=${instance.workspaceId}`,
      `SHIPFOX_PROJECT_ID=${project.id}`,
      `SHIPFOX_JOB_ID=${jobOf(run, "build").id}`,
      "SHIPFOX_JOB_KEY=build",
      `SHIPFOX_STEP_ID=${compile.id}`,
      "SHIPFOX_STEP_KEY=compile",
      `SHIPFOX_RUNNER_NAME=${runner.name}`,
    ]) {
      expect(environment.split("\n")).toContain(line);
    }
    expect(environment).not.toMatch(/sf_(mrt|rt)_|REGISTRATION_TOKEN|eyJ[\w-]+\./);

    const lines = (await instance.logText(checkout.id)).split("\n");
    expect(lines).toContain("Change");
    expect(lines).toContain(head);
    expect(lines).toContain("# Test");
    expect(lines.filter((line) => /^( M|\?\?) /.test(line))).toEqual([]);
  });

  it("starts a job after the jobs it needs, and keeps each line of the log in order", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Green"));
    const build = newestExecution(jobOf(run, "build"));
    const test = newestExecution(jobOf(run, "test"));
    expect(Date.parse(test.started_at ?? "")).toBeGreaterThanOrEqual(Date.parse(build.finished_at ?? "x"));

    const step = runStep(jobOf(run, "test"));
    const text = await instance.logText(step.id);
    expect(text.split("\n").filter((line) => /^line \d+$/.test(line))).toEqual(
      Array.from({ length: 300 }, (_, index) => `line ${index + 1}`),
    );
    expect(await instance.logRecords(step.id)).toContainEqual(
      expect.objectContaining({ type: "output", stream: "stderr", data: expect.stringContaining("to stderr") }),
    );
    expect(outputOf(await followLog(instance.api, step.id))).toBe(text);
    expect((await instance.api.call("GET", `/steps/${step.id}/attempts/1/logs/raw`)).text).toBe(text);
  });

  it("shows a red step with its exit code, skips what comes after it, and fails the run", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Red"));

    expect(run.status).toBe("failed");
    const [broken, skipped] = runSteps(jobOf(run, "broken"));
    expect(broken).toMatchObject({ status: "failed", exit_code: 7, error: { exit_code: 7, category: "user" } });
    expect(skipped).toMatchObject({ status: "skipped", exit_code: null });
    expect(await instance.logText(broken?.id ?? "")).toContain("before\n");
    expect(jobOf(run, "broken")).toMatchObject({ status: "failed", status_reason: "step_failed" });
    expect(jobOf(run, "after")).toMatchObject({ status: "skipped", status_reason: "default_gate_rejected" });
  });

  it("runs a step in its working directory", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Subfolder"));
    expect(run.status).toBe("succeeded");
    expect(await instance.logText(runStep(jobOf(run, "job")).id)).toMatch(/\/sub\/folder\nI am here\n/);
  });

  it("runs a job with an image only where images can be run", async () => {
    const runId = await instance.fire(project, "Image");
    if (sandbox === "docker") {
      const run = await instance.waitForRun(runId);
      expect(run.status).toBe("succeeded");
      expect(await instance.logText(runStep(jobOf(run, "job")).id)).toMatch(/\nv\d+\.\d+\.\d+\n/);
      return;
    }
    const run = await instance.waitForRun(runId, ({ jobs }) => jobs[0]?.waiting?.reason === "capability_missing");
    expect(jobOf(run, "job").waiting).toMatchObject({ runners: { matching: 0, online: 1 } });
    expect(jobOf(run, "job").waiting?.message).toContain("image");
    await instance.api.call("POST", `/workflows/runs/${runId}/cancel`);
  });

  it("runs the workflow of a newer commit after a sync", async () => {
    const changed = GREEN.replace("name: Green", "name: Green again");
    await project.repository.commit({ ".shipfox/workflows/green.yml": changed });
    const reply = await instance.api.call("POST", `/projects/${project.id}/sync`);
    expect(reply.status).toBeLessThan(300);
    await eventually("the renamed workflow is there", async () => {
      const path = `/definitions?project_id=${project.id}`;
      const { definitions } = await instance.api.get(definitionsReplySchema, path);
      return definitions.some(({ name }) => name === "Green again");
    });
    const run = await instance.waitForRun(await instance.fire(project, "Green again"));
    expect(run.status).toBe("succeeded");
    const { runs } = await instance.api.get(
      runsReplySchema,
      `/workflows/runs?project_id=${project.id}&status=succeeded`,
    );
    expect(runs[0]?.id).toBe(run.id);
  });

  it("leaves nothing behind when the runner stops", async () => {
    expect(await runner.child.stop()).toEqual({ code: 0, signal: null });
    if (sandbox === "docker") expect(await runner.dockerThings()).toEqual([]);
  });
});
