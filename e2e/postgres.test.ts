import { describe, expect, it } from "vitest";
import { Child } from "./src/child.ts";
import { ControlPlane, freePort } from "./src/control-plane.ts";
import { Instance, jobOf, type ProjectHandle, runStep, workflow } from "./src/instance.ts";
import { startPostgres } from "./src/postgres.ts";
import { CONTROL_PLANE } from "./src/programs.ts";
import { useStage } from "./src/stage.ts";

const LINES = 300;
const TWO_JOBS = workflow(
  "Two jobs",
  `  count:
    steps:
      - run: for i in $(seq 1 ${LINES}); do echo "line $i"; sleep 0.01; done
  after:
    needs: count
    steps:
      - run: echo "after"
`,
);

const refusesToStart = async (env: Record<string, string>, code = 1): Promise<Child> => {
  const second = new Child("second control plane", CONTROL_PLANE, [], { PORT: `${await freePort()}`, ...env });
  expect((await second.exited).code).toBe(code);
  return second;
};

/** How a run of the two jobs must end. */
const COMPLETE = { status: "succeeded", lines: Array.from({ length: LINES }, (_, index) => `line ${index + 1}`) };

const resultOf = async (instance: Instance, runId: string) => {
  const run = await instance.waitForRun(runId);
  const text = await instance.logText(runStep(jobOf(run, "count")).id);
  return { status: run.status, lines: text.match(/^line \d+$/gm) };
};

describe("[postgres] a control plane on PostgreSQL", () => {
  const stage = useStage();
  let databaseUrl: string;
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;

  it("runs jobs like one on SQLite", async () => {
    databaseUrl = await startPostgres(stage);
    plane = await ControlPlane.start(stage, { env: { SHIPFOX_DATABASE_URL: databaseUrl } });
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "two.yml": TWO_JOBS });
    await instance.runner();
    expect(await resultOf(instance, await instance.fire(project, "Two jobs"))).toEqual(COMPLETE);
  });

  it("keeps a second control plane off its database, in words, and goes on", async () => {
    const second = await refusesToStart({
      SHIPFOX_DATABASE_URL: databaseUrl,
      SHIPFOX_DATA_DIR: await stage.folder("second"),
    });
    expect(second.output).toMatch(/in use by another control plane/);
    expect(second.output).not.toMatch(/\n\s+at /);
    expect(await resultOf(instance, await instance.fire(project, "Two jobs"))).toEqual(COMPLETE);
  });
});

describe("a control plane on SQLite", () => {
  const stage = useStage();

  it("keeps a second one off its data folder, in words", async () => {
    const plane = await ControlPlane.start(stage);
    const second = await refusesToStart({ SHIPFOX_DATA_DIR: plane.dataDir });
    expect(second.output).toMatch(/in use|another control plane/);
    expect(second.output).toContain(plane.dataDir);
    expect(second.output).not.toMatch(/\n\s+at /);
    expect((await fetch(`${plane.url}/readyz`)).status).toBe(200);
  });

  it("says that its port is taken", async () => {
    const plane = await ControlPlane.start(stage);
    const second = await refusesToStart({
      SHIPFOX_DATA_DIR: await stage.folder("second"),
      PORT: new URL(plane.url).port,
    });
    expect(second.output).toMatch(/port \d+ on 127\.0\.0\.1 is taken/);
  });

  it("says which setting is wrong", async () => {
    const second = await refusesToStart({ SHIPFOX_DATA_DIR: await stage.folder("wrong"), PORT: "many" }, 78);
    expect(second.output).toMatch(/PORT/);
    expect(second.output).not.toMatch(/\n\s+at /);
  });
});
