import { createHash } from "node:crypto";
import type { RunDetail } from "@shipfox/shared/api/runs";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runStep, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

const BUILD = `  build:
    cache:
      key: deps
      hash_files: [lock.txt]
      paths: [deps]
      restore_keys: [deps-]
    artifacts:
      upload:
        - { name: dist, paths: [dist/, "*.md"], retention: 2d }
    steps:
      - run: |
          if [ -f deps/list ]; then echo "deps are there: $(cat deps/list)"; else echo "deps are made"; fi
          mkdir -p deps dist/bin
          cat lock.txt >> deps/list
          printf '#!/bin/sh\\necho it runs\\n' > dist/bin/app
          chmod 755 dist/bin/app
          ln -s bin/app dist/app
  test:
    needs: build
    checkout: false
    artifacts:
      download: [{ job: build, name: dist, path: got }]
    steps:
      - run: |
          got/dist/app
          test -f got/README.md
          echo more >> got/dist/bin/app
`;
const BROKEN = `  nothing:
    checkout: false
    artifacts: { upload: [{ name: dist, paths: [dist] }] }
    steps: [{ run: "true" }]
  ignored:
    checkout: false
    artifacts: { upload: [{ name: dist, paths: [dist], if_missing: ignore }] }
    steps: [{ run: "true" }]
  red:
    checkout: false
    artifacts:
      upload:
        - { name: report, paths: ["*.txt"], when: always }
        - { name: dist, paths: [report.txt] }
    steps: [{ run: "echo red > report.txt; exit 3" }]
  out:
    checkout: false
    artifacts: { upload: [{ name: secrets, paths: [inside] }] }
    steps: [{ run: "mkdir inside; ln -s /etc/passwd inside/passwd" }]
`;

describe.each(["host", "docker"] as const)("[%s] artifacts and caches", (sandbox) => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    const files = { "build.yml": workflow("Build", BUILD), "broken.yml": workflow("Broken", BROKEN) };
    project = await instance.project(files, { "lock.txt": "one\n" });
    await instance.runner({ sandbox, name: sandbox });
  });

  const setupLog = (run: RunDetail, key: string) =>
    instance.logText(newestExecution(jobOf(run, key)).steps[0]?.id ?? "");
  const stepLog = (run: RunDetail, key: string) => instance.logText(runStep(jobOf(run, key)).id);

  it("go from a job to one that needs it and to people, and from a run to the next", async () => {
    const runId = await instance.fire(project, "Build");
    const first = await instance.waitForRun(runId);
    expect([first.status, await stepLog(first, "build")]).toEqual([
      "succeeded",
      expect.stringContaining("deps are made"),
    ]);
    expect(await stepLog(first, "test")).toContain("it runs");
    expect(await setupLog(first, "test")).toContain('Artifact "dist" of the job "build": 5 entries');

    const { artifacts } = await instance.api.client.artifacts.list({ id: runId });
    expect(artifacts).toMatchObject([{ name: "dist", job_key: "build", untrusted: false, file_name: "dist.tar.gz" }]);
    const response = await instance.api.client.artifacts.download({ artifactId: artifacts[0]?.id ?? "" });
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(artifacts[0]?.sha256);
    expect(response.headers.get("content-disposition")).toBe('attachment; filename="dist.tar.gz"');
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");

    const second = await instance.waitForRun(await instance.fire(project, "Build"));
    expect(await stepLog(second, "build")).toContain("deps are there: one");
    expect(await setupLog(second, "build")).toMatch(/Cache "deps-[0-9a-f]{64}": restored, 2 entries/);
    await project.repository.commit({ "lock.txt": "two\n" });
    const third = await instance.waitForRun(await instance.fire(project, "Build"));
    expect(await setupLog(third, "build")).toMatch(/restored from "deps-[0-9a-f]{64}"/);
    expect(await stepLog(third, "build")).toContain("deps are there: one");
    const { caches } = await instance.api.client.caches.list({ projectId: project.id });
    expect(caches.map(({ ref }) => ref)).toEqual(["refs/heads/main", "refs/heads/main"]);
    expect(await instance.api.client.caches.remove({ projectId: project.id, key: caches[0]?.key })).toEqual({
      deleted: 1,
    });
  });

  it("fail the job where one is missing or leads out, unless it may be missing; a failed job leaves what it should", async () => {
    const runId = await instance.fire(project, "Broken");
    const run = await instance.waitForRun(runId);
    const outcome = (key: string) => {
      const { error, status } = runStep(jobOf(run, key));
      return { status, reason: error?.reason, message: error?.message };
    };
    expect(outcome("nothing")).toMatchObject({ status: "failed", reason: "artifact_failed" });
    expect(outcome("nothing").message).toContain("there is nothing at its paths (dist)");
    expect(outcome("ignored")).toMatchObject({ status: "succeeded" });
    expect(outcome("red")).toMatchObject({ status: "failed", message: "exited with code 3" });
    expect(outcome("out")).toMatchObject({ status: "failed", reason: "artifact_failed" });
    expect(outcome("out").message).toContain("leaves the workspace");
    expect(jobOf(run, "nothing")).toMatchObject({ failure_class: "user" });
    const { artifacts } = await instance.api.client.artifacts.list({ id: runId });
    expect(artifacts.map(({ job_key, name }) => `${job_key} ${name}`)).toEqual(["red report"]);
  });
});
