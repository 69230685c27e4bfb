import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { workflow } from "./test-plane.ts";
import { ServedPlane } from "./served-plane.fixture.ts";

describeStores("a runner of another version", (open) => {
  it("is warned from its first connect, in the answer and in the list of runners", async () => {
    const plane = await ServedPlane.start(await open(), { version: "0.7.0" });
    const { status, body } = await plane.register({ version: "0.5.2" });
    expect(status).toBe(200);
    const warning = expect.stringContaining("upgrade the runner");
    expect(body.version).toEqual({ server: "0.7.0", oldest: "0.5", newest: "0.9", warning });
    const [runner] = (await plane.asUser("GET", `/workspaces/${plane.inside.workspaceId}/runners`)).body.runners;
    expect(runner).toMatchObject({ version: "0.5.2", version_warning: warning });
  });

  it("is refused in words outside the window, and uses up nothing", async () => {
    const plane = await ServedPlane.start(await open(), { version: "0.7.0" });
    const token = await plane.inside.registrationToken({ maxUses: 1 });
    expect(await plane.register({ version: "0.4.0", token })).toMatchObject({
      status: 409,
      body: {
        code: "runner-version-unsupported",
        message: expect.stringContaining("works with 0.5 to 0.9"),
        details: { runner: "0.4.0", server: "0.7.0", oldest: "0.5", newest: "0.9" },
      },
    });
    expect((await plane.register({ version: "0.7.0", token })).body.version).not.toHaveProperty("warning");
  });

  it("is refused at its next claim after the control plane was upgraded; its job goes on", async () => {
    const plane = await ServedPlane.start(await open(), { version: "0.7.0" });
    const { job, session } = await plane.runningJob();
    await plane.inside.fire(workflow());
    expect(await plane.claim(session, { version: "0.4.0" })).toMatchObject({
      status: 409,
      body: { code: "runner-version-unsupported" },
    });
    expect((await plane.heartbeat(job)).status).toBe(200);
  });

  it("is accepted when it names none, as the published runner does", async () => {
    const plane = await ServedPlane.start(await open(), { version: "7.0.0" });
    expect((await plane.register()).status).toBe(200);
  });
});
