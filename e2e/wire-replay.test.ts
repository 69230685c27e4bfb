import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, workflow } from "./src/instance.ts";
import { readRecording, replay } from "./src/recording.ts";
import { useStage } from "./src/stage.ts";

/** What we answer beside upstream's fields; a client that does not know them is not disturbed. */
const ADDITIONS = new Set(["runner_id", "job", "lease", "last", "drain", "message", "permissions", "version"]);
/**
 * Texts and places of the recorded machine. `source_location` was null because the recorded workflow had no file. Upstream's
 * `message` is there for validation errors only and is worded by its schema library.
 */
const FREE_VALUES = new Set(["repository_url", "source_location", "message"]);

/** Recorded exchanges that are not sent, by recording and number. */
const OUT_OF_SCOPE = {
  "runner-checkout": {
    1: "the stand-in answered as to an ephemeral runner, which comes with the provisioner; a manual runner is registered instead",
    14: "409 because an ephemeral runner may claim only once",
  },
  "error-probes": {
    6: "POST /runner-enrollment/exchange: the provisioner's protocol comes with its own issue and is another one than upstream's",
    7: "POST /runner-control/heartbeat: as 6",
    10: "GET /provisioners/me: as 6",
    29: "409 checkout-config-invalid: upstream asks whether the stored configuration can be read; ours says step-not-checkout",
  },
};

const simple = (name: string, label: string, ...steps: string[]) =>
  workflow(
    name,
    `  job:\n    runner: ${label}\n    checkout: false\n    steps:\n${steps.map((step) => `      - run: ${step}\n`).join("")}`,
  );

describe("the unmodified upstream runner, as it was recorded", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({
      "success.yml": simple("Success", "linux", "echo hello"),
      "failing.yml": simple("Failing", "linux", "echo before; exit 3", "echo after"),
      "only.yml": simple("Only", "linux", "echo only; exit 4"),
      "probe.yml": simple("Probe", "probe", "echo never"),
      "checkout.yml": workflow(
        "Checkout",
        "  job:\n    steps:\n      - name: ls\n        run: git log --oneline | head -1; ls\n",
      ),
    });
  });

  const options = async () => ({
    url: plane.url,
    registrationToken: await instance.registrationToken(),
    additions: ADDITIONS,
    freeValues: FREE_VALUES,
  });

  it("runs a job to its end", async () => {
    const runId = await instance.fire(project, "Success");
    expect(await replay(readRecording("runner-success"), await options())).toEqual([]);
    expect((await instance.run(runId)).status).toBe("succeeded");
  });

  it("fails a step and is told to stop when it was the last one", async () => {
    const failing = await instance.fire(project, "Failing");
    const only = await instance.fire(project, "Only");
    expect(await replay(readRecording("runner-failing-step"), await options())).toEqual([]);
    const run = await instance.run(failing);
    expect(run.status).toBe("failed");
    expect(newestExecution(jobOf(run, "job")).steps.map(({ status }) => status)).toEqual([
      "succeeded",
      "failed",
      "skipped",
    ]);
    expect((await instance.run(only)).status).toBe("failed");
  });

  it("checks a repository of a git connection out", async () => {
    const [first, ...rest] = readRecording("runner-checkout");
    const [register] = readRecording("runner-success");
    if (!first || !register) throw new Error("the recordings are empty");
    let runId = "";
    const differences = await replay([{ ...register, n: 0 }, first, ...rest], {
      ...(await options()),
      skip: OUT_OF_SCOPE["runner-checkout"],
      before: { 3: async () => (runId = await instance.fire(project, "Checkout")) },
    });
    expect(differences).toEqual([]);
    expect((await instance.run(runId)).status).toBe("succeeded");
  });

  it("is refused in the same words when it asks for what is wrong", async () => {
    const runId = await instance.fire(project, "Probe");
    const differences = await replay(readRecording("error-probes"), {
      ...(await options()),
      skip: OUT_OF_SCOPE["error-probes"],
      claimLease: [14, 15, 16],
    });
    expect(differences).toEqual([]);
    expect((await instance.run(runId)).status).toBe("failed");
  });
});
