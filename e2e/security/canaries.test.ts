import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { createAccessTokenReplySchema, createStreamTicketReplySchema } from "@shipfox/shared/api/access-tokens";
import { resetLinkReplySchema } from "@shipfox/shared/api/accounts";
import { connectionSchema } from "@shipfox/shared/api/integrations";
import { setSecretsReplySchema } from "@shipfox/shared/api/scoped-values";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { call } from "../src/api.ts";
import { attack } from "../src/attack.ts";
import { bareEnvironment } from "../src/child.ts";
import { ControlPlane, freePort } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { filesWith } from "../src/files-with.ts";
import { ACCOUNT, Instance, jobOf, runStep, workflow } from "../src/instance.ts";
import { claimByHand, registerByHand } from "../src/machine.ts";
import { RUNNER } from "../src/programs.ts";
import type { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

const canary = (kind: string) => `canary-${kind}-${randomUUID()}`;
const secret = canary("secret");
const registryPassword = canary("registry");
const gitToken = canary("git");

const TOUR = workflow(
  "Tour",
  `  good:
    checkout: false
    env: { TOKEN: "\${{ secrets.TOKEN }}" }
    steps:
      - run: echo "it is $TOKEN"; echo "t=$TOKEN" >> "$SHIPFOX_OUTPUT"; echo "::error::$TOKEN"; echo "$TOKEN" > kept
  bad:
    checkout: false
    env: { TOKEN: "\${{ secrets.TOKEN }}" }
    steps:
      - run: echo "$TOKEN=$TOKEN" >> "$SHIPFOX_ENV"; cat "/$TOKEN"
  by_hand:
    runner: by-hand
    checkout: false
    steps:
      - run: 'true'
`,
);

describe("after a tour with secrets", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let runner: Runner;
  let metricsPorts: readonly number[];

  beforeAll(async () => {
    const [ofPlane, ofRunner] = [await freePort(), await freePort()];
    metricsPorts = [ofPlane, ofRunner];
    plane = await ControlPlane.start(stage, {
      env: {
        SHIPFOX_LOG_LEVEL: "trace",
        SHIPFOX_ACCESS_LOG: "true",
        SHIPFOX_GIT_ALLOW_HTTP: "true",
        SHIPFOX_GIT_ALLOW_PRIVATE: "true",
        SHIPFOX_METRICS_LISTEN: `127.0.0.1:${ofPlane}`,
      },
    });
    instance = await Instance.create(stage, plane);
    const env = { SHIPFOX_RUNNER_METRICS_PORT: String(ofRunner), SHIPFOX_LOG_LEVEL: "trace" };
    runner = await instance.runner({ env });
  });

  it(`${attack(22, "with everything logged, over the whole data of both programs")}`, async () => {
    const workspace = `/workspaces/${instance.workspaceId}`;
    const entries = [{ key: "TOKEN", value: secret }];
    await instance.api.post(setSecretsReplySchema, `${workspace}/secrets:batch`, { entries });
    const account = { host: "registry.example", username: "ci", password: registryPassword };
    expect((await instance.api.call("POST", `${workspace}/registry-credentials`, { body: account })).status).toBe(201);
    await instance.api.post(connectionSchema, "/integrations/git/connections", {
      workspace_id: instance.workspaceId,
      name: "Private",
      base_url: "http://127.0.0.1:1",
      username: "bot",
      token: gitToken,
    });

    const project = await instance.project({ "tour.yml": TOUR });
    const runId = await instance.fire(project, "Tour");
    const registrationToken = await instance.registrationToken();
    const registered = await registerByHand(plane.url, registrationToken, ["by-hand"]);
    const claim = await claimByHand(plane.url, registered.session_token);
    await call(plane.url, "POST", `/runners/jobs/${claim.job_id}/release`, {
      token: claim.lease_token,
      body: { reason: "draining" },
    });
    const isOver = (key: string) => (run: Awaited<ReturnType<Instance["run"]>>) =>
      ["succeeded", "failed"].includes(jobOf(run, key).status);
    await instance.waitForRun(runId, isOver("good"));
    const run = await instance.waitForRun(runId, isOver("bad"));
    await instance.api.call("POST", `/workflows/runs/${runId}/cancel`);

    const minted = { name: "canary", workspace_id: instance.workspaceId, abilities: ["runs:read"] };
    const { raw_token: accessToken } = await instance.api.post(createAccessTokenReplySchema, "/auth/tokens", minted);
    const asked = { path: "/ws", workspace_id: instance.workspaceId };
    const { ticket } = await instance.api.post(createStreamTicketReplySchema, "/auth/stream-tokens", asked);
    // Refused, each with the ticket in its address: it is for another path, and then it is used up.
    const inAddress = `${workspace}/events/stream?ticket=${ticket}`;
    expect((await call(plane.url, "GET", inAddress)).status).toBe(401);
    expect((await call(plane.url, "GET", `/ws?ticket=${ticket}`)).status).toBeGreaterThanOrEqual(400);
    const link = await instance.api.post(resetLinkReplySchema, "/admin/auth/password-reset-links", {
      email: ACCOUNT.email,
    });
    const resetToken = new URL(link.reset_url ?? "").searchParams.get("token") ?? "";

    const credential = JSON.parse(await readFile(join(runner.stateDir, "credential.json"), "utf8")) as {
      runner_token: string;
    };
    const canaries = [
      secret,
      registryPassword,
      gitToken,
      registrationToken,
      ACCOUNT.password,
      instance.api.token ?? "",
      registered.session_token,
      registered.runner_token ?? "",
      claim.lease_token,
      accessToken,
      ticket,
      resetToken,
      credential.runner_token,
    ];
    expect(canaries.filter((text) => text.length < 12)).toEqual([]);

    const texts = [...(await errorBodies(canaries)), ...(await readable(workspace, runId))];
    texts.push(await instance.logText(runStep(jobOf(run, "good")).id), JSON.stringify(run));
    for (const port of metricsPorts) texts.push(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text());
    const status = ["status", "--json", "--state-dir", runner.stateDir];
    texts.push((await execa(RUNNER, status, { env: bareEnvironment({}), extendEnv: false, reject: false })).stdout);
    expect(texts.every((text) => text.length > 0)).toBe(true);

    const forms = canaries.flatMap((text) => [
      text,
      Buffer.from(text).toString("base64"),
      Buffer.from(text).toString("hex"),
    ]);
    for (const text of [...texts, plane.child.output, runner.child.output]) {
      for (const form of forms) expect(text).not.toContain(form);
    }
    // The runner's own credential is the one file that holds one; what a step kept goes with the job's clean-up.
    await eventually("no file holds a canary", async () => {
      const found = filesWith([plane.dataDir, runner.stateDir], forms).filter(
        (file) => basename(file) !== "credential.json",
      );
      return found.length === 0 ? true : Promise.reject(new Error(found.join(", ")));
    });
  });

  /** Answers to wrong calls that carry canaries, where a careless server would quote them. */
  async function errorBodies(canaries: readonly string[]): Promise<string[]> {
    const secrets = `/workspaces/${instance.workspaceId}/secrets:batch`;
    const bodies = canaries.flatMap((text) => [`{"entries": [{"key": "A", "value": "${text}`, text]);
    const answers = await Promise.all([
      ...canaries.map((token) => call(plane.url, "GET", "/workspaces/none/runners", { token: `${token}x` })),
      ...canaries.map((token) => call(plane.url, "POST", "/runners/jobs/request", { token: `${token}x` })),
      ...bodies.map((body) => instance.api.call("POST", secrets, { body })),
      ...canaries.map((value) => instance.api.call("POST", secrets, { body: { entries: [{ key: "a b", value }] } })),
      ...canaries.map((password) =>
        call(plane.url, "POST", "/auth/login", { body: { email: ACCOUNT.email, password: `${password}x` } }),
      ),
    ]);
    expect(answers.filter(({ status }) => status < 400)).toEqual([]);
    return answers.map(({ text }) => text);
  }

  /** What a member of the workspace can read of it. */
  async function readable(workspace: string, runId: string): Promise<string[]> {
    const paths = [
      ...["secrets", "registry-credentials", "runners", "runners/manual-registration-tokens"].map(
        (name) => `${workspace}/${name}`,
      ),
      `/annotations?workflow_run_id=${runId}&attempt=1`,
      `/integration-connections?workspace_id=${instance.workspaceId}`,
    ];
    const answers = await Promise.all(paths.map((path) => instance.api.call("GET", path)));
    expect(answers.map(({ status }) => status)).toEqual(paths.map(() => 200));
    return answers.map(({ text }) => text);
  }
});
