import { shellLayer, StandInRegistry } from "@shipfox/shared/stand-in-registry.fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attack } from "./src/attack.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { docker } from "./src/docker.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runStep, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

const ACCOUNT = { username: "ci", password: "registry-secret-42" };
const SANDBOX_IMAGE = "shipfox/sandbox:1";

describe("[docker] a private image", () => {
  const stage = useStage();
  let registry: StandInRegistry;
  let image: string;
  let plane: ControlPlane;
  let instance: Instance;
  let entitled: ProjectHandle;
  let other: ProjectHandle;

  beforeAll(async () => {
    registry = await StandInRegistry.start();
    const layer = await shellLayer(SANDBOX_IMAGE);
    image = registry.publish({ repository: "team/private", tag: "1", layer, account: ACCOUNT });
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    const yaml = workflow(
      "Private",
      `  job:\n    image: ${image}\n    checkout: false\n    steps:\n      - run: echo ran in a private image\n`,
    );
    entitled = await instance.project({ "private.yml": yaml });
    other = await instance.project({ "private.yml": yaml });
    await instance.api.call("POST", `/workspaces/${instance.workspaceId}/registry-credentials`, {
      body: { host: registry.host, ...ACCOUNT, project_ids: [entitled.id] },
    });
  });

  afterAll(async () => {
    await docker
      .getImage(image)
      .remove({ force: true })
      .catch(() => {});
    await registry[Symbol.asyncDispose]();
  });

  it(`${attack(13, "the copy is on the machine, and serves only the project that has the credential")}`, async () => {
    const runner = await instance.runner({ sandbox: "docker", name: "pulls", env: { SHIPFOX_RUNNER_WARM: "0" } });
    const run = await instance.waitForRun(await instance.fire(entitled, "Private"));
    expect(run.status).toBe("succeeded");
    expect(await instance.logText(runStep(jobOf(run, "job")).id)).toContain("ran in a private image");
    const [setup] = newestExecution(jobOf(run, "job")).steps;
    const log = await instance.logText(setup?.id ?? "");
    expect(log).toContain(`Pulling the image ${image}`);
    expect(log).not.toContain(ACCOUNT.password);

    const refused = await instance.waitForRun(await instance.fire(other, "Private"));
    expect(refused.status).toBe("failed");
    const [refusal] = newestExecution(jobOf(refused, "job")).steps;
    expect(refusal).toMatchObject({ status: "failed", error: { reason: "image_unavailable" } });
    expect(refusal?.error?.message).toContain(`shipfox registries add ${registry.host}`);
    expect(runner.child.output).not.toContain(ACCOUNT.password);
  });
});
