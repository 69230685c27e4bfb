import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { fault } from "../src/fault.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, workflow } from "../src/instance.ts";
import { makeRelease, type Release } from "../src/release.ts";
import { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

const QUICK = workflow("Quick", "  job:\n    checkout: false\n    steps:\n      - run: echo quick\n");
const EXIT_CONFIGURATION = 78;

describe("runner and control plane of different releases", () => {
  const stage = useStage();
  let releases: Record<"first" | "third" | "sixth", Release>;

  beforeAll(async () => {
    const [first, third, sixth] = await Promise.all(
      ["7.1.0", "7.3.2", "7.6.0"].map((text) => makeRelease(stage, text)),
    );
    if (!first || !third || !sixth) throw new Error("the releases were not made");
    releases = { first, third, sixth };
  });

  async function serve(release: Release): Promise<{ instance: Instance; project: ProjectHandle }> {
    const plane = await ControlPlane.start(stage, { program: release.controlPlane });
    const instance = await Instance.create(stage, plane);
    return { instance, project: await instance.project({ "quick.yml": QUICK }) };
  }

  async function expectWorks(plane: Release, runnerOf: Release, advice: RegExp): Promise<void> {
    const { instance, project } = await serve(plane);
    const runner = await instance.runner({ program: runnerOf.runner });
    expect(runner.child.output).toMatch(advice);
    const run = await instance.waitForRun(await instance.fire(project, "Quick"));
    expect(newestExecution(jobOf(run, "job"))).toMatchObject({ status: "succeeded", status_reason: null });
    await Promise.all([runner.child.stop(), instance.plane.stop()]);
  }

  async function expectRefused(plane: Release, runnerOf: Release, words: RegExp): Promise<void> {
    const { instance } = await serve(plane);
    const token = await instance.registrationToken({ max_uses: 1 });
    const runner = await Runner.launch(stage, { program: runnerOf.runner, apiUrl: instance.plane.url, token });
    expect((await runner.child.exited).code).toBe(EXIT_CONFIGURATION);
    expect(runner.child.output).toMatch(words);
    expect(runner.child.output).not.toMatch(/\n\s+at /);
    expect(await instance.runners()).toEqual([]);
    await instance.plane.stop();
  }

  it(`${fault(47, "an older runner inside the window works and is told to be upgraded")}`, () =>
    expectWorks(releases.third, releases.first, /upgrade the runner/));

  it(`${fault(47, "a newer runner inside the window works and says what to upgrade")}`, () =>
    expectWorks(releases.first, releases.third, /upgrade the control plane/));

  it(`${fault(47, "an older runner outside of it ends at once, in words, and uses nothing up")}`, () =>
    expectRefused(
      releases.sixth,
      releases.first,
      /has version 7\.1\.0; this control plane, 7\.6\.0, works with 7\.4 to 7\.8: upgrade the runner/,
    ));

  it(`${fault(47, "a newer runner outside of it ends at once, in words, and uses nothing up")}`, () =>
    expectRefused(
      releases.first,
      releases.sixth,
      /has version 7\.6\.0; this control plane, 7\.1\.0, works with 7\.0 to 7\.3: upgrade the control plane/,
    ));
});
