import { randomBytes } from "node:crypto";
import { VERSION } from "@shipfox/shared/version";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { Cli } from "./src/cli.ts";
import { eventually } from "./src/eventually.ts";
import { workflow } from "./src/instance.ts";
import { REPOSITORY_ROOT } from "./src/programs.ts";
import { useStage } from "./src/stage.ts";
import { buildTarballs } from "./src/tarballs.ts";

/** Not the names of the images that other tests use. */
const RELEASE = `${VERSION}-images`;
const BUILD_LIMIT_MS = 280_000;
/** As deploy/compose.yml starts it. */
const HARDENED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
const REPOSITORY = "/var/lib/shipfox/repositories/hello";
const HELLO = workflow("hello", "  hello:\n    checkout: false\n    steps: [{ run: id -u }]\n");

describe("[docker] the container images of a release", () => {
  const stage = useStage();
  const name = `shipfox-e2e-${randomBytes(4).toString("hex")}`;
  let images: string[];

  const docker = async (...args: string[]) => (await execa("docker", args)).stdout;

  async function run(role: string, ...args: string[]): Promise<string> {
    const container = `${name}-${role}`;
    stage.onEnd(() => docker("rm", "--force", "--volumes", container));
    await docker("run", "--detach", "--name", container, "--network", name, "--network-alias", role, ...args);
    return container;
  }

  beforeAll(async () => {
    const release = await stage.folder("release");
    const components = ["--component", "control-plane", "--component", "runner"];
    await buildTarballs(release, "--version", RELEASE, ...components);
    const flags = ["--release", release, "--version", RELEASE];
    const { stdout } = await execa(`${REPOSITORY_ROOT}/scripts/images`, flags, { timeout: BUILD_LIMIT_MS });
    images = stdout.split("\n");
    stage.onEnd(() => docker("image", "rm", ...images));
    await docker("network", "create", name);
    stage.onEnd(() => docker("network", "rm", name));
  });

  it("start a control plane with few rights, and a runner, which runs a job", async () => {
    const [planeImage = "", runnerImage = ""] = images;
    const plane = await run("control-plane", ...HARDENED, "--publish", "127.0.0.1::16101", planeImage);
    await eventually("the container is healthy", async () => {
      return (await docker("inspect", "--format", "{{.State.Health.Status}}", plane)) === "healthy";
    });
    const inPlane = (...args: string[]) => docker("exec", plane, ...args);
    expect(await inPlane("sh", "-c", "id -u; grep CapEff /proc/self/status")).toMatch(/^10002\nCapEff:\t0+$/);

    const url = `http://${(await docker("port", plane, "16101")).split("\n")[0]}`;
    const token = await inPlane("shipfox-control-plane", "setup");
    const cli = await Cli.create(stage, { SHIPFOX_SETUP_TOKEN: token });
    const account = ["--signup", "--name", "Ada", "--email", "ada@example.com", "--password-stdin"];
    const signedUp = await cli.runWith({ input: "correct horse battery" }, "login", "--url", url, ...account);
    expect(signedUp.code).toBe(0);
    await execa(
      "docker",
      [
        "exec",
        "--interactive",
        plane,
        "sh",
        "-euc",
        `mkdir -p ${REPOSITORY}/.shipfox/workflows
      cd ${REPOSITORY}; cat >.shipfox/workflows/hello.yml; export HOME=/tmp; git init --quiet --initial-branch=main; git add .
      git -c user.name=Ada -c user.email=ada@example.com commit --quiet --message=Hello`,
      ],
      { input: HELLO },
    );
    await cli.json("workspaces", "create", "main");
    await cli.json("projects", "create", "--repo", `file://${REPOSITORY}`, "--name", "hello");
    const added = (await cli.json("runners", "add")) as { raw_token: string };
    const settings = ["--env", "SHIPFOX_API_URL=http://control-plane:16101", "--env", "SHIPFOX_RUNNER_LABELS=linux"];
    settings.push("--env", "SHIPFOX_RUNNER_CONFIG_FILE=");
    await run("runner", ...settings, "--env", `SHIPFOX_RUNNER_REGISTRATION_TOKEN=${added.raw_token}`, runnerImage);
    const { code, stdout, stderr } = await cli.run("run", "hello", "--follow");
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("10001");
  });
});
