import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { connectionSchema } from "@shipfox/shared/api/integrations";
import { projectSchema } from "@shipfox/shared/api/projects";
import { setSecretsReplySchema } from "@shipfox/shared/api/scoped-values";
import { shellLayer, StandInRegistry } from "@shipfox/shared/stand-in-registry.fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { docker } from "../src/docker.ts";
import { GitServer } from "../src/git-server.ts";
import { Instance, jobOf, runSteps, workflow } from "../src/instance.ts";
import { Repository } from "../src/repository.ts";
import { useStage } from "../src/stage.ts";

const SANDBOX_IMAGE = "shipfox/sandbox:1";
/** Runs on without any program beside the shell. */
const STOPPED_SHELL = JSON.stringify(["/bin/sh", "-c", "kill -STOP $$"]);

const reversed = (text: string) => Array.from(text).reverse().join("");
const canary = (kind: string) => `canary-${kind}-${randomUUID()}`;

/** An address of this machine that is not loopback, so that a container can be let through to it. */
function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const found = addresses.find(({ family, internal }) => family === "IPv4" && !internal);
  if (!found) throw new Error("this machine has no address beside loopback");
  return found.address;
}

describe.each([
  { sandbox: "docker" as const, tag: "[docker]", folders: "/" },
  // The files of the machine are the machine's there: only what the job, and this run of the tests, made is of interest.
  { sandbox: "host" as const, tag: "[host]", folders: '. "$HOME" "${TMPDIR:-.}" /tmp/shipfox-* /dev/shm /run' },
])("$tag credentials in the $sandbox sandbox", ({ sandbox, folders }) => {
  const stage = useStage();
  const secret = canary("secret");
  const gitToken = canary("git");
  const account = { username: "ci", password: canary("registry") };
  const decoy = canary("decoy");
  let registry: StandInRegistry;
  let image: string;
  let instance: Instance;
  let repository: Repository;
  let url: string;
  let known: Record<string, string>;
  let projectId: string;

  beforeAll(async () => {
    registry = await StandInRegistry.start();
    const plane = await ControlPlane.start(stage, {
      env: { HOST: "0.0.0.0", SHIPFOX_GIT_ALLOW_HTTP: "true", SHIPFOX_GIT_ALLOW_PRIVATE: "true" },
    });
    instance = await Instance.create(stage, plane);
    const address = sandbox === "docker" ? ownAddress() : "127.0.0.1";
    url = `http://${address}:${new URL(plane.url).port}`;
    const registrationToken = await instance.registrationToken();
    const runner = await instance.runner({
      sandbox,
      token: registrationToken,
      env: sandbox === "docker" ? { SHIPFOX_RUNNER_ALLOW_ADDRESSES: address } : {},
    });
    const { runner_token } = JSON.parse(await readFile(join(runner.stateDir, "credential.json"), "utf8")) as {
      runner_token: string;
    };
    known = { secret, gitToken, registry: account.password, decoy, registrationToken, runner_token };
    repository = await Repository.create(stage, await files());
    projectId = await projectBehindToken();
    await instance.api.post(setSecretsReplySchema, `/workspaces/${instance.workspaceId}/secrets:batch`, {
      entries: [{ key: "TOKEN", value: secret }],
    });
  });

  afterAll(async () => {
    if (image !== undefined)
      await docker
        .getImage(image)
        .remove({ force: true })
        .catch(() => {});
    await registry[Symbol.asyncDispose]();
  });

  async function files(): Promise<Record<string, string>> {
    const backwards = Object.entries(known).map(([name, value]) => [name, reversed(value)]);
    return {
      "hunt.mjs": await readFile(new URL("../fixtures/hunt.mjs", import.meta.url), "utf8"),
      "canaries.json": JSON.stringify(Object.fromEntries(backwards)),
      ".shipfox/workflows/hunt.yml": workflow(
        "Hunt",
        `  job:\n${await services()}    steps:
      - run: echo "used \${#TOKEN}"; echo "$TOKEN" > /dev/null
        env: { TOKEN: "\${{ secrets.TOKEN }}" }
      - run: node hunt.mjs ${url} ${folders}
      - run: |
          export DECOY="$(echo '${reversed(decoy)}' | rev)"; sleep 60 &
          node hunt.mjs ${url} .
`,
      ),
    };
  }

  /** A private image, so that the runner has a registry's password for the job as well. */
  async function services(): Promise<string> {
    if (sandbox !== "docker") return "";
    image = registry.publish({ repository: "team/private", tag: "1", layer: await shellLayer(SANDBOX_IMAGE), account });
    await instance.api.call("POST", `/workspaces/${instance.workspaceId}/registry-credentials`, {
      body: { host: registry.host, ...account },
    });
    return `    services:\n      db: { image: "${image}", command: ${STOPPED_SHELL} }\n`;
  }

  /** The repository again, behind a server that asks for a token. */
  async function projectBehindToken(): Promise<string> {
    const git = await GitServer.start(stage, repository, gitToken);
    const connection = await instance.api.post(connectionSchema, "/integrations/git/connections", {
      workspace_id: instance.workspaceId,
      name: "Private",
      base_url: git.origin,
      username: git.username,
      token: git.token,
    });
    const path = repository.folder.split("/").at(-1);
    const project = await instance.api.post(projectSchema, "/projects", {
      workspace_id: instance.workspaceId,
      name: "Private",
      source: { connection_id: connection.id, external_repository_id: `git:${git.origin}/${path}/.git` },
    });
    await instance.syncOver(project.id);
    return project.id;
  }

  it(`${attack(1, sandbox)}; ${attack(4, sandbox)}`, async () => {
    const handle = { id: projectId, slug: "private", repository };
    const run = await instance.waitForRun(await instance.fire(handle, "Hunt"));
    const [user, hunter, control] = runSteps(jobOf(run, "job"));
    expect(await instance.logText(user?.id ?? "")).toContain(`used ${secret.length}`);
    const log = await instance.logText(hunter?.id ?? "");
    expect([hunter?.status, log]).toEqual(["succeeded", expect.stringMatching(/HUNTED/)]);
    expect(
      log.split("\n").filter((line) => /^FOUND|^CONNECTED .*(docker|podman|containerd|shipfox)/.test(line)),
    ).toEqual([]);
    const counts = JSON.parse(/HUNTED (.*)/.exec(log)?.[1] ?? "{}") as Record<string, number>;
    expect(counts["processes"]).toBeGreaterThan(1);
    expect(counts["memories"]).toBeGreaterThan(0);
    expect(counts["files"]).toBeGreaterThan(5);
    expect(counts["calls"]).toBeGreaterThan(100);
    // The same hunt finds what was put where it looks.
    const found = await instance.logText(control?.id ?? "");
    expect(found).toContain("FOUND environ of a process holds decoy");
    expect(found).toContain("FOUND the memory of a process holds decoy");
  });
});
