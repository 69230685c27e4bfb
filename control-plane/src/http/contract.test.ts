import { GitHubServer } from "@shipfox/shared/github-server.fixture";
import { SentryServer } from "@shipfox/shared/sentry-server.fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KEY, type ModelServer, serveModels } from "../testing/model-server.ts";
import { TestRepository } from "../testing/git-repository.ts";
import { codeIn, MailServer, tokenIn } from "../testing/mail-server.ts";
import { HELD, insertHeldEvent } from "../testing/rows.ts";
import type { Need } from "./caller.ts";
import { Callers, type OtherCaller } from "./callers.fixture.ts";
import { type Answer, type CallOptions, Contract } from "./contract.fixture.ts";
import { writeExamples } from "./examples.fixture.ts";
import { tourFiles } from "./files-tour.fixture.ts";
import { serveApp } from "./served-app.fixture.ts";

const ACCOUNT = { email: "ada@example.com", password: "correct horse battery", name: "Ada" };
const ID = "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11";
/** A value for every path parameter, of the right form and of nothing that exists. */
const NOTHING = {
  id: ID,
  attempt: "1",
  stepId: ID,
  jobId: ID,
  workspaceId: ID,
  projectId: ID,
  definitionId: ID,
  runnerId: ID,
  tokenId: ID,
  key: "KEY",
  credentialId: ID,
  providerId: "provider",
  slug: "provider",
  webhookId: ID,
  deliveryId: ID,
  connectionId: ID,
  eventId: ID,
  userId: ID,
  invitationId: ID,
};
/** Any file in the folder of releases, which is that of this test. */
const RELEASED = "route.ts";
const RECORD = `${JSON.stringify({ v: 1, ts: 1, type: "output", stream: "stdout", data: "hello\n" })}\n`;
const IMAGE = "registry.example/app:1";
const YAML = `name: Contract
runner: linux
triggers:
  by_hand: { source: manual, event: fire }
jobs:
  job:
    image: ${IMAGE}
    steps:
      - run: "true"
        env: { TOKEN: "\${{ secrets.TOKEN }}", REGION: "\${{ vars.REGION }}" }
`;
const HOT_FIRE = "POST /workflow-definitions/{definitionId}/fire-manual";
/** The routes of the handler in front of Express, which must answer like Express. */
const HOT = [
  "POST /runners/jobs/request",
  "POST /runners/jobs/{jobId}/heartbeat",
  "POST /runs/jobs/current/steps/next",
  "POST /runs/jobs/current/steps/{stepId}/report",
  "POST /runs/jobs/current/steps/{stepId}/logs",
  HOT_FIRE,
];
/** What the workflow language has no steps for yet is refused to all others. */
const ONLY_FOR_AGENTS = [
  "GET /runs/jobs/current/agent-runtime-config",
  "POST /runs/jobs/current/integration-tools/mcp",
] as const;
/** Posts of users that are questions, or answer with a credential of a minute. */
const CHANGE_NOTHING = [
  "POST /auth/stream-tokens",
  "POST /integrations/github/install",
  "POST /integrations/sentry/install",
  "POST /definitions/validate",
];
/** Lists and texts whose length cannot even be compared. */
const OF_NO_LENGTH = JSON.stringify(
  Object.fromEntries(
    ["entries", "events", "abilities", "labels", "name", "email"].map((key) => [key, { length: { toString: 1 } }]),
  ),
);
/** Every call of it is also made by everybody who must be refused. */
const TOUR_LIMIT_MS = 300_000;
/** Called with another token than the owner's in the tour. */
const NOT_CALLED_BY_THE_OWNER = [
  "POST /auth/change-password",
  "GET /auth/tokens/current",
  "DELETE /workspaces/{workspaceId}",
  "POST /workspaces/{workspaceId}/leave",
  "POST /invitations/accept",
];
/** Steps that the same person must take. */
const ONLY_IN_PERSON: readonly string[] = [];
/** Strangers see an empty list, as of a run that does not exist. */
const EMPTY_FOR_STRANGERS = ["GET /annotations", "GET /annotations/summary"];
const NDJSON = { "content-type": "application/x-ndjson" };

describe("the API as /openapi.json describes it", () => {
  let app: Awaited<ReturnType<typeof serveApp>>;
  let contract: Contract;
  let mails: MailServer;
  let repository: TestRepository;
  let models: ModelServer;
  let github: GitHubServer;
  let sentry: SentryServer;
  let token: string;
  let callers: Callers;
  /** Routes that were seen to refuse who may not call them. */
  const refusals = new Set<string>();

  beforeAll(async () => {
    github = await GitHubServer.start();
    sentry = await SentryServer.start();
    models = await serveModels("openai");
    mails = await MailServer.start();
    app = await serveApp({
      SHIPFOX_GIT_ALLOW_FILE: "true",
      SHIPFOX_RELEASES_DIR: import.meta.dirname,
      SHIPFOX_AGENT_ALLOW_PRIVATE: "true",
      SHIPFOX_AGENT_PROVIDER_URLS: `deepseek=${models.url}/v1`,
      ...github.environment,
      ...sentry.environment,
      ...mails.environment,
      SHIPFOX_ALLOW_SIGNUP: "true",
    });
    contract = await Contract.read(app.url);
    repository = await TestRepository.create();
    await repository.commit({ ".shipfox/workflows/contract.yml": YAML });
    callers = new Callers(app.store);
    ({ token } = await succeed("POST /auth/signup", {}, { body: ACCOUNT }));
  });

  afterAll(async () => {
    await app.close();
    await github.close();
    await sentry.close();
    await repository.remove();
    await models.close();
    await mails.close();
  });

  type Params = Record<string, string>;
  const succeed = async (route: string, params: Params, options: CallOptions = {}) => {
    const need = options.token === token ? contract.operation(route)["x-needs"] : undefined;
    if (need) await refuseOthers(route, params, options, need);
    const answer = await contract.call(route, params, allowed(route, options, need));
    expect([route, answer.status, answer.status < 400 ? "" : answer.text]).toEqual([route, answer.status, ""]);
    // biome-ignore lint/suspicious/noExplicitAny: checked against the description
    // oxlint-disable-next-line typescript/no-explicit-any -- checked against the description
    return answer.body as any;
  };

  /** The same call by everybody who may not make it, before it is made. */
  const refuseOthers = async (route: string, params: Params, options: CallOptions, need: Need) => {
    const refusal = async ({ who, token: other, statuses }: OtherCaller) => {
      const answer = await contract.call(route, params, { ...options, token: other });
      const isRefused = statuses.includes(answer.status) || (isStranger(statuses) && showsNothing(route, answer));
      expect(isRefused, `${route} by ${who} was answered ${answer.status} ${answer.text}`).toBe(true);
    };
    await Promise.all(callers.refused(need).map(refusal));
    refusals.add(route);
  };

  /** Made by who may just make it, so that the ability is shown to be enough. */
  const allowed = (route: string, options: CallOptions, need: Need | undefined): CallOptions => {
    const weakest = need && !ONLY_IN_PERSON.includes(route) ? callers.weakest(need) : null;
    return weakest === null ? options : { ...options, token: weakest };
  };

  const tourGitHub = async (workspaceId: string) => {
    const installing = { token, body: { workspace_id: workspaceId } };
    const { install_url } = await succeed("POST /integrations/github/install", {}, installing);
    const app = { id: 7, owner: "acme", name: "app", private: true, defaultBranch: "main" };
    const { id: installation } = github.install("acme", [app]);
    const state = new URL(install_url).searchParams.get("state");
    const suffix = `?code=${github.codeOf([app])}&installation_id=${installation}&state=${state}`;
    const linked = await succeed("GET /integrations/github/callback/api", {}, { token, suffix });
    const push = JSON.stringify({ ref: "refs/heads/main", installation: { id: installation } });
    const webhook = "POST /webhooks/integrations/github";
    await succeed(webhook, {}, { body: push, headers: github.headersOf("push", push) });
    const forged = { ...github.headersOf("push", push), "x-hub-signature-256": `sha256=${"0".repeat(64)}` };
    expect((await contract.call(webhook, {}, { body: push, headers: forged })).status).toBe(401);
    expect((await contract.call(webhook, {}, { body: push })).status).toBe(400);
    const removed = { connectionId: linked.id };
    await succeed("DELETE /integration-connections/{connectionId}", removed, { token });
  };

  /** A second account: a code by mail, then new passwords by link and by the old one. */
  async function provesAndResets(email: string): Promise<void> {
    const password = ACCOUNT.password;
    const { email_challenge } = await succeed("POST /auth/signup", {}, { body: { ...ACCOUNT, email } });
    const code = codeIn(await mails.mailTo(email));
    const sent = { email, challenge_id: email_challenge.id };
    await succeed("POST /auth/verify-email/resend", {}, { body: { ...sent, email: "nobody@example.com" } });
    await succeed("POST /auth/verify-email/confirm", {}, { body: { ...sent, code } });
    for (const path of ["/auth/password/reset", "/auth/password-reset"]) {
      const before = mails.received.length;
      await succeed(`POST ${path}`, {}, { body: { email } });
      const link = tokenIn(await mails.mailTo(email, before));
      await succeed(`POST ${path}/confirm`, {}, { body: { token: link, new_password: password } });
    }
    const own = (await succeed("POST /auth/login", {}, { body: { email, password } })).token;
    const change = { current_password: password, new_password: password };
    await succeed("POST /auth/change-password", {}, { token: own, body: change });
    await succeed("POST /admin/auth/password-reset-links", {}, { token, body: { email } });
  }

  it("does on every route what it describes, from sign-up to the end of a job", {
    timeout: TOUR_LIMIT_MS,
  }, async () => {
    for (const path of ["/", "/health", "/healthz", "/readyz", "/openapi.json", "/docs", "/install.sh"])
      await succeed(`GET ${path}`, {});
    for (const file of ["swagger-ui.css", "swagger-ui-bundle.js", "start.js"]) {
      await succeed("GET /docs/files/{file}", { file });
    }
    await succeed("GET /docs/errors/{code}", { code: "not-found" });
    await succeed("GET /releases/{file}", { file: RELEASED });
    const login = await contract.call(
      "POST /auth/login",
      {},
      { body: { email: ACCOUNT.email, password: ACCOUNT.password } },
    );
    const cookie = login.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    const refreshed = await succeed("POST /auth/refresh", {}, { headers: { cookie } });
    expect(refreshed.token).not.toBe("");
    await succeed("GET /auth/me", {}, { token });
    await succeed("PATCH /auth/me", {}, { token, body: { name: "Ada L." } });
    await succeed("GET /auth/login-methods", {});
    await succeed("GET /auth/reset", {});
    await provesAndResets("bob@example.com");
    const { sessions } = await succeed("GET /auth/sessions", {}, { token });
    const { id: sessionId } = sessions.find((session: { current: boolean }) => !session.current);
    await succeed("DELETE /auth/sessions/{sessionId}", { sessionId }, { token });

    const workspaceId = (await succeed("POST /workspaces", {}, { token, body: { name: "Contract" } })).id;
    await callers.gather(workspaceId, (await succeed("GET /auth/me", {}, { token })).user.id);
    await succeed("GET /workspaces", {}, { token });
    const minted = { name: "ci", workspace_id: workspaceId, abilities: ["runs:read"] };
    const pat = await succeed("POST /auth/tokens", {}, { token, body: minted });
    await succeed("GET /auth/tokens", {}, { token });
    await succeed("GET /auth/tokens/current", {}, { token: pat.raw_token });
    await succeed("DELETE /auth/tokens/{tokenId}", { tokenId: pat.id }, { token });
    const ticket = { path: "/ws", workspace_id: workspaceId };
    await succeed("POST /auth/stream-tokens", {}, { token, body: ticket });
    await succeed("GET /integration-providers", {}, { token });
    const connection = await succeed(
      "POST /integrations/git/connections",
      {},
      { token, body: { workspace_id: workspaceId, name: "Git" } },
    );
    await succeed("GET /integration-connections", {}, { token, suffix: `?workspace_id=${workspaceId}` });
    const ofGit = { connectionId: connection.id };
    const renamed = { token, body: { display_name: "Git of this machine" } };
    await succeed("PATCH /integration-connections/{connectionId}", ofGit, renamed);
    await succeed("GET /integration-connections/{connectionId}/repositories", ofGit, { token });
    await succeed("POST /webhooks/integrations/git/{connectionId}", ofGit, {});
    await tourGitHub(workspaceId);
    const source = { connection_id: connection.id, external_repository_id: `git:${repository.fileUrl}` };
    const project = { workspace_id: workspaceId, name: "Contract", source };
    const projectId = (await succeed("POST /projects", {}, { token, body: project })).id;
    await succeed("GET /projects", {}, { token, suffix: `?workspace_id=${workspaceId}` });
    await succeed("GET /projects/{projectId}", { projectId }, { token });
    await succeed("POST /projects/{projectId}/sync", { projectId }, { token });
    await succeed("PATCH /projects/{projectId}", { projectId }, { token, body: { name: "Renamed" } });
    for (const verb of ["archive", "unarchive"]) {
      await succeed(`POST /projects/{projectId}/${verb}`, { projectId }, { token });
    }

    const registries = "POST /workspaces/{workspaceId}/registry-credentials";
    const registry = { host: "registry.example", username: "ci", password: "secret" };
    const { id: credentialId } = await succeed(registries, { workspaceId }, { token, body: registry });
    await succeed(registries.replace("POST", "GET"), { workspaceId }, { token });

    const webhooks = "/workspaces/{workspaceId}/webhooks";
    const hook = { url: "https://hooks.invalid/ci", events: ["run.finished"] };
    const { id: webhookId } = await succeed(`POST ${webhooks}`, { workspaceId }, { token, body: hook });
    await succeed(`GET ${webhooks}`, { workspaceId }, { token });
    const one = { workspaceId, webhookId };
    await succeed(`GET ${webhooks}/{webhookId}`, one, { token });
    await succeed(`PATCH ${webhooks}/{webhookId}`, one, { token, body: { rotate_secret: true } });
    const { id: deliveryId } = await succeed(`POST ${webhooks}/{webhookId}/test`, one, { token });
    await succeed(`GET ${webhooks}/{webhookId}/deliveries`, one, { token });
    const again = `POST ${webhooks}/{webhookId}/deliveries/{deliveryId}/redeliver`;
    await succeed(again, { ...one, deliveryId }, { token });
    await succeed(`DELETE ${webhooks}/{webhookId}`, one, { token });

    const ofSentry = { token, body: { workspace_id: workspaceId } };
    await succeed("POST /integrations/sentry/install", {}, ofSentry);
    const linking = { ...sentry.install("acme"), workspace_id: workspaceId };
    await succeed("POST /integrations/sentry/connect", {}, { token, body: linking });
    const told = sentry.delivery("issue", { action: "created", installation: { uuid: linking.installation_id } });
    await succeed("POST /webhooks/integrations/sentry", {}, told);
    const unsigned = await contract.call("POST /webhooks/integrations/sentry", {}, { body: told.body });
    expect([unsigned.status, unsigned.body]).toMatchObject([401, { error: expect.any(String) }]);

    const custom = "/integrations/webhook/connections";
    const inbound = { workspace_id: workspaceId, name: "Alerts", slug: "alerts" };
    const { id: connectionId } = await succeed(`POST ${custom}`, {}, { token, body: inbound });
    const ofWorkspace = { token, suffix: `?workspace_id=${workspaceId}` };
    await succeed(`GET ${custom}`, {}, ofWorkspace);
    await succeed("POST /webhook/{connectionId}", { connectionId }, { body: { severity: "high" } });
    const [event] = (await succeed("GET /trigger-events", {}, ofWorkspace)).trigger_events;
    await succeed("GET /trigger-events/facets", {}, ofWorkspace);
    const look = () => succeed("GET /trigger-events/{eventId}", { eventId: event.id }, { token });
    await expect.poll(async () => (await look()).outcome).toBe("discarded");
    await succeed("POST /trigger-events/{eventId}/replay", { eventId: event.id }, { token });
    const held = { eventId: await insertHeldEvent(app.store, workspaceId) };
    await succeed("POST /trigger-events/{eventId}/approve", held, { token, body: HELD });
    const disable = { token, body: { lifecycle_status: "disabled" } };
    await succeed(`PATCH ${custom}/{connectionId}`, { connectionId }, disable);
    await succeed(`DELETE ${custom}/{connectionId}`, { connectionId }, { token });

    for (const kind of ["secrets", "variables"]) {
      const all = `/workspaces/{workspaceId}/${kind}`;
      const value = "of the workspace";
      await succeed(`PUT ${all}/{key}`, { workspaceId, key: "KEY" }, { token, body: { value } });
      const key = kind === "secrets" ? "TOKEN" : "REGION";
      await succeed(`POST ${all}:batch`, { workspaceId }, { token, body: { entries: [{ key, value }] } });
      await succeed(`GET ${all}`, { workspaceId }, { token });
      if (kind === "variables") await succeed(`GET ${all}/{key}`, { workspaceId, key: "KEY" }, { token });
      await succeed(`DELETE ${all}/{key}`, { workspaceId, key: "KEY" }, { token });
    }

    await succeed(
      "PATCH /workspaces/{workspaceId}/limits",
      { workspaceId },
      { token, body: { max_concurrent_runs: 9 } },
    );
    const provisioners = "/workspaces/{workspaceId}/provisioners";
    const { id: tokenId } = await succeed(`POST ${provisioners}/tokens`, { workspaceId }, { token, body: {} });
    await succeed(`GET ${provisioners}/tokens`, { workspaceId }, { token });
    await succeed(`POST ${provisioners}/tokens/{tokenId}/revoke`, { workspaceId, tokenId }, { token });
    await succeed(`GET ${provisioners}/active`, { workspaceId }, { token });
    await exerciseProvisioner(succeed, { token, workspaceId });
    await succeed("GET /workspaces/{workspaceId}/usage", { workspaceId }, { token });
    await exerciseAgents(succeed, { token, workspaceId }, models);

    await succeed("GET /schemas/workflow.json", {});
    await succeed("POST /definitions/validate", {}, { token, body: { yaml: YAML } });
    await succeed("POST /definitions/validate", {}, { token, body: { yaml: "name: 1" } });
    const saved = await succeed("POST /definitions", {}, { token, body: { project_id: projectId, yaml: YAML } });
    const definitionId = saved.id;
    await succeed("GET /definitions", {}, { token, suffix: `?project_id=${projectId}` });
    await succeed("GET /definitions/{definitionId}", { definitionId }, { token });
    const id = (await succeed(HOT_FIRE, { definitionId }, { token, body: {} })).workflow_run_id;
    for (const route of ["GET /workflows/runs", "GET /workflows/runs/aggregates"]) {
      await succeed(route, {}, { token, suffix: `?project_id=${projectId}` });
    }

    const tokens = "POST /workspaces/{workspaceId}/runners/manual-registration-tokens";
    const registration = await succeed(tokens, { workspaceId }, { token, body: { name: "contract" } });
    await succeed(tokens.replace("POST", "GET"), { workspaceId }, { token });
    const runner = await succeed(
      "POST /runners/register",
      {},
      {
        token: registration.raw_token,
        body: { labels: ["linux"], capabilities: { image: true }, persistent: true, name: "contract" },
      },
    );
    expect((await succeed("GET /runners/credential", {}, { token: runner.runner_token })).kind).toBe("runner");
    const known = await succeed("GET /runners/credential", {}, { token: registration.raw_token });
    expect(known.kind).toBe("registration_token");
    const relabelled = { token: runner.session_token, body: { labels: ["linux", "big"] } };
    await succeed("PATCH /runners/session", {}, relabelled);
    const claim = "POST /runners/jobs/request";
    const job = await succeed(claim, {}, { token: runner.session_token });
    expect((await contract.call(claim, {}, { token: runner.session_token })).status).toBe(204);
    await succeed("GET /workspaces/{workspaceId}/runners", { workspaceId }, { token });
    await succeed("GET /workspaces/{workspaceId}/runners/active", { workspaceId }, { token });
    const { job_id: jobId, lease_token: lease } = job;
    await succeed("POST /runners/jobs/{jobId}/heartbeat", { jobId }, { token: lease });

    const ofImage = { token: lease, suffix: `?image=${IMAGE}` };
    const shown = await succeed("GET /runs/jobs/current/registry-credentials", {}, ofImage);
    expect(shown.credential.password).toBe(registry.password);
    await succeed(`${registries.replace("POST", "DELETE")}/{credentialId}`, { workspaceId, credentialId }, { token });

    const next = await succeed("POST /runs/jobs/current/steps/next", {}, { token: lease });
    const stepId = next.step.id;
    const own = { token: next.lease_token };
    await succeed(
      "POST /runs/jobs/current/steps/{stepId}/checkout-token",
      { stepId },
      { ...own, suffix: "?attempt=1" },
    );
    const append = { ...own, body: RECORD, headers: NDJSON, suffix: "?attempt=1&offset=0" };
    await succeed("POST /runs/jobs/current/steps/{stepId}/logs", { stepId }, append);
    const logs = "GET /steps/{stepId}/attempts/{attempt}/logs";
    await succeed(logs, { stepId, attempt: "1" }, { token });
    await succeed(`${logs}/raw`, { stepId, attempt: "1" }, { token });
    const annotations = [{ context: "default", style: "info", body: "# Done" }];
    await succeed(
      "POST /runs/jobs/current/annotations",
      {},
      { ...own, body: { step_id: stepId, attempt: 1, annotations } },
    );
    for (const route of ["GET /annotations", "GET /annotations/summary"]) {
      const answer = await succeed(route, {}, { token, suffix: `?workflow_run_id=${id}&attempt=1` });
      expect(answer.total ?? answer.annotations.length).toBe(1);
    }
    const [config, tools] = ONLY_FOR_AGENTS;
    const noAgent = await contract.call(config, {}, { ...own, suffix: `?step_id=${stepId}&attempt=1` });
    expect([noAgent.status, noAgent.body]).toMatchObject([409, { code: "step-not-agent" }]);
    const noTools = await contract.call(tools, {}, { ...own, body: { jsonrpc: "2.0" } });
    expect([noTools.status, noTools.body]).toMatchObject([409, { code: "leased-step-not-agent" }]);
    const unscoped = await contract.call(tools, {}, { token: lease, body: {} });
    expect([unscoped.status, unscoped.body]).toMatchObject([409, { code: "lease-missing-step" }]);
    const secretsOfStep = "GET /runs/jobs/current/steps/{stepId}/secrets";
    const noSecrets = await contract.call(secretsOfStep, { stepId }, { ...own, suffix: "?attempt=1" });
    expect([noSecrets.status, noSecrets.body]).toMatchObject([409, { code: "step-not-run" }]);
    const report = { status: "succeeded", attempt: 1, exit_code: 0, log_outcome: "drained" };
    await succeed("POST /runs/jobs/current/steps/{stepId}/report", { stepId }, { ...own, body: report });
    const ended = await contract.call(config, {}, { ...own, suffix: `?step_id=${stepId}&attempt=1` });
    expect(ended.body).toMatchObject({ code: "step-not-running" });
    const run = await succeed("POST /runs/jobs/current/steps/next", {}, { token: lease });
    expect(run.step.config).toMatchObject({
      env: { REGION: "of the workspace" },
      secret_bindings: [{ target: "TOKEN" }],
    });
    const fetched = { token: run.lease_token, suffix: "?attempt=1" };
    expect(await succeed(secretsOfStep, { stepId: run.step.id }, fetched)).toEqual({
      secrets: [{ store: "local", key: "TOKEN", value: "of the workspace" }],
    });
    // The log is closed now, so that the stream ends by itself.
    await succeed(`${logs}/stream`, { stepId, attempt: "1" }, { token });
    await succeed("GET /workflows/runs/{id}", { id }, { token });
    await succeed("GET /workflows/runs/{id}/events", { id }, { token });
    await succeed("GET /workflows/runs/{id}/events/stream", { id }, { token });
    await succeed("GET /workspaces/{workspaceId}/events/stream", { workspaceId }, { token });
    await succeed("GET /workflows/runs/{id}/attempts", { id }, { token });
    for (const path of ["/workflows/runs/steps/{stepId}/attempts/{attempt}", "/steps/{stepId}/attempts/{attempt}"]) {
      await succeed(`GET ${path}`, { stepId, attempt: "1" }, { token });
    }
    await succeed("POST /runners/jobs/{jobId}/release", { jobId }, { token: lease, body: { reason: "draining" } });
    await succeed("POST /workflows/runs/{id}/cancel", { id }, { token });
    await succeed("POST /workflows/runs/{id}/rerun", { id }, { token, body: { mode: "failed" } });
    await succeed("GET /workflows/runs/{id}", { id }, { token });
    await succeed("POST /workflows/runs/{id}/cancel", { id }, { token });

    await tourFiles(succeed, { token, workspaceId, projectId });
    const runnerId = runner.runner_id;
    await succeed("POST /workspaces/{workspaceId}/runners/{runnerId}/drain", { workspaceId, runnerId }, { token });
    const health = { state: "unhealthy", reason: "the disk is full" };
    await succeed("PUT /runners/session/health", {}, { token: runner.session_token, body: health });
    await succeed("DELETE /runners/session", {}, { token: runner.session_token });
    await succeed("POST /workspaces/{workspaceId}/runners/{runnerId}/revoke", { workspaceId, runnerId }, { token });
    await succeed(`${tokens}/{tokenId}/revoke`, { workspaceId, tokenId: registration.id }, { token });
    await succeed("GET /admin/root-key", {}, { token });
    await succeed("POST /admin/root-key/rotate", {}, { token, body: {} });
    await succeed("POST /auth/logout", {}, { headers: { cookie } });

    await workWithPeople(workspaceId);
    await administer();
    if (process.env["SHIPFOX_WRITE_EXAMPLES"]) await writeExamples(contract.examples);
    const untouched = contract.routes.filter((route) => !contract.seen(route).some((status) => status < 400));
    expect(untouched).toEqual(ONLY_FOR_AGENTS);
  });

  /** Invites somebody, changes and removes her; she makes and deletes a workspace of her own. */
  async function workWithPeople(workspaceId: string): Promise<void> {
    const path = "/workspaces/{workspaceId}";
    const as = (body: unknown) => ({ token, body });
    await succeed("GET /workspaces/slug-availability", {}, { token, suffix: "?slug=free" });
    await succeed(`GET ${path}`, { workspaceId }, { token });
    await succeed(`PATCH ${path}`, { workspaceId }, as({ name: "Renamed" }));
    const carol = { email: "carol@example.com", password: ACCOUNT.password, name: "Carol" };
    const join = async () => {
      const before = mails.received.length;
      const { id } = await succeed(`POST ${path}/invitations`, { workspaceId }, as({ email: carol.email }));
      return { invitationId: id as string, invitation_token: tokenIn(await mails.mailTo(carol.email, before)) };
    };
    const withdrawn = await join();
    await succeed(`GET ${path}/invitations`, { workspaceId }, { token });
    const mailed = mails.received.length;
    await succeed(`POST ${path}/invitations/{invitationId}/resend`, { workspaceId, ...withdrawn }, { token });
    expect(tokenIn(await mails.mailTo(carol.email, mailed))).not.toBe(withdrawn.invitation_token);
    await succeed(`DELETE ${path}/invitations/{invitationId}`, { workspaceId, ...withdrawn }, { token });
    const { invitation_token } = await join();
    await succeed("GET /invitations/accept", {}, { suffix: `?token=${invitation_token}` });
    await succeed("GET /invitations/preview", {}, { suffix: `?token=${invitation_token}` });
    const joined = await succeed("POST /auth/signup", {}, { body: { ...carol, invitation_token } });
    const userId: string = joined.user.id;
    await succeed(`GET ${path}/members`, { workspaceId }, { token });
    await succeed(`PATCH ${path}/members/{userId}`, { workspaceId, userId }, as({ role: "admin" }));
    await succeed(`POST ${path}/leave`, { workspaceId }, { token: joined.token });
    const { invitation_token: again } = await join();
    await succeed("POST /invitations/accept", {}, { token: joined.token, body: { token: again } });
    await succeed(`DELETE ${path}/members/{userId}`, { workspaceId, userId }, { token });
    await succeed(`GET ${path}/audit-events`, { workspaceId }, { token });
    await succeed("GET /admin/audit-events", {}, { token });
    const { id: own } = await succeed("POST /workspaces", {}, { token: joined.token, body: { name: "Hers" } });
    await succeed(`DELETE ${path}`, { workspaceId: own }, { token: joined.token });
  }

  /** Looks after the server: suspends and brings back a user and a workspace, and changes a setting. */
  async function administer(): Promise<void> {
    await succeed("GET /admin/auth/bootstrap-state", {});
    await succeed("GET /admin/overview", {}, { token });
    const ofCarol = { token, suffix: "?email=carol@example.com" };
    const { users } = await succeed("GET /admin/auth/users", {}, ofCarol);
    const { workspaces } = await succeed(
      "GET /admin/workspaces",
      {},
      { token, suffix: "?status=active&search=renamed" },
    );
    const because = (reason: string, more = {}) => ({
      token,
      headers: { "idempotency-key": reason },
      body: { reason, ...more },
    });
    const userId: string = users[0].id;
    for (const verb of ["suspend", "reactivate", "revoke-sessions"]) {
      await succeed(`POST /admin/auth/users/{userId}/${verb}`, { userId }, because(verb));
    }
    const observer = because("audit", { role: "admin-observer" });
    await succeed("POST /admin/auth/users/{userId}/admin-role", { userId }, observer);
    for (const verb of ["suspend", "reactivate"]) {
      const ofWorkspace = { workspaceId: workspaces[0].id as string };
      await succeed(`POST /admin/workspaces/{workspaceId}/${verb}`, ofWorkspace, because(verb));
    }
    await succeed("GET /admin/settings", {}, { token });
    await succeed("PATCH /admin/settings", {}, { token, body: { allow_signup: false, reason: "we are complete" } });
  }

  it("says of every route of users what it needs, and of every change what the audit log says", () => {
    const ofUsers = contract.routes.filter((route) => contract.securityOf(route).includes("userToken"));
    expect(ofUsers.filter((route) => !contract.operation(route)["x-needs"])).toEqual([]);
    const silent = ofUsers.filter((route) => !route.startsWith("GET ") && !contract.operation(route)["x-audit"]);
    expect(silent).toEqual(CHANGE_NOTHING);
  });

  it("was seen to refuse, on every route of users, everybody but those whom it is for", () => {
    const ofUsers = contract.routes.filter((route) => contract.operation(route)["x-needs"]);
    expect(ofUsers.filter((route) => !refusals.has(route))).toEqual(NOT_CALLED_BY_THE_OWNER);
  });

  it("shows examples that are what the routes take and answer", () => {
    const ofUsers = contract.routes.filter((route) => contract.securityOf(route).includes("userToken"));
    const faults = ofUsers.flatMap((route) => contract.faultsOfExamples(route));
    expect(faults, "write them anew with SHIPFOX_WRITE_EXAMPLES=1").toEqual([]);
  });

  it("refuses without a credential with 401, described, on every route that asks for one", async () => {
    for (const route of contract.routes.filter((candidate) => contract.operation(candidate).security)) {
      const answer = await contract.call(route, NOTHING);
      expect([route, answer.status]).toEqual([route, 401]);
    }
  });

  it("refuses with a user's token what does not exist or is not understood, described", async () => {
    for (const route of contract.routes) {
      if (!contract.securityOf(route).includes("userToken")) continue;
      const operation = contract.operation(route);
      const named = await contract.call(route, NOTHING, { token, ...(operation.requestBody ? { body: {} } : {}) });
      if (route.includes("{")) expect([route, named.status >= 400]).toEqual([route, true]);
      if (!operation.requestBody) continue;
      for (const body of ["{", "[]", "", `{"x":"${"x".repeat(5 * 1024 * 1024)}"}`, OF_NO_LENGTH]) {
        const answer = await contract.call(route, NOTHING, { token, body });
        expect([route, answer.status >= 400 && answer.status < 500]).toEqual([route, true]);
      }
      const typed = { token, body: "{}", headers: { "content-type": "text/csv" } };
      expect((await contract.call(route, NOTHING, typed)).status).toBe(415);
    }
  });

  it("refuses the same through the handler in front of Express and through Express", async () => {
    const bodies: CallOptions[] = [
      {},
      { token: "nonsense" },
      { token },
      { token, body: {} },
      { token, body: "{" },
      { token, body: "" },
      { token, body: { unknown: true } },
      { token, body: "x".repeat(2 * 1024 * 1024) },
      { token, body: "{}", headers: { "content-type": "text/csv" } },
      { token, body: RECORD, headers: NDJSON },
    ];
    for (const route of HOT) {
      for (const options of bodies) {
        const hot = await contract.call(route, NOTHING, options);
        // A slash at the end is another path for the first handler and the same one for Express.
        const express = await contract.call(route, NOTHING, { ...options, suffix: "/" });
        expect(isFromExpress(hot)).toBe(false);
        expect(isFromExpress(express)).toBe(true);
        expect([route, options.headers, express.status, express.body]).toEqual([
          route,
          options.headers,
          hot.status,
          hot.body,
        ]);
        expect(express.headers.get("content-type")).toBe(hot.headers.get("content-type"));
        expect(express.headers.get("cache-control")).toBe(hot.headers.get("cache-control"));
      }
    }
  });

  it("runs a job the same through the handler in front of Express and through Express", async () => {
    const first = await succeed("GET /workspaces", {}, { token });
    const workspaceId = first.memberships[0].workspace_id;
    const { definitions } = await succeed("GET /definitions", {}, { token, suffix: `?workspace_id=${workspaceId}` });
    const tokens = "POST /workspaces/{workspaceId}/runners/manual-registration-tokens";
    const registration = await succeed(tokens, { workspaceId }, { token, body: {} });
    const life = async (slash: string) => {
      const answers: unknown[] = [];
      const step = async (route: string, params: Params, options: CallOptions) => {
        const answer = await contract.call(route, params, { ...options, suffix: `${slash}${options.suffix ?? ""}` });
        expect([route, isFromExpress(answer)]).toEqual([route, slash !== ""]);
        answers.push([route, answer.status, answer.headers.get("cache-control"), shapeOf(answer.body)]);
        // biome-ignore lint/suspicious/noExplicitAny: checked against the description
        // oxlint-disable-next-line typescript/no-explicit-any -- checked against the description
        return answer.body as any;
      };
      await step(HOT_FIRE, { definitionId: definitions[0].id }, { token, body: { inputs: { who: "world" } } });
      const runner = await succeed(
        "POST /runners/register",
        {},
        { token: registration.raw_token, body: { labels: ["linux"], capabilities: { image: true } } },
      );
      const job = await step("POST /runners/jobs/request", {}, { token: runner.session_token });
      const lease = { token: job.lease_token };
      await step("POST /runners/jobs/{jobId}/heartbeat", { jobId: job.job_id }, lease);
      for (;;) {
        const next = await step("POST /runs/jobs/current/steps/next", {}, lease);
        if (next.kind === "done") break;
        const params = { stepId: next.step.id };
        const own = { token: next.lease_token };
        const append = { ...own, body: RECORD, headers: NDJSON, suffix: "?attempt=1&offset=0" };
        await step("POST /runs/jobs/current/steps/{stepId}/logs", params, append);
        const report = { status: "succeeded", attempt: 1, exit_code: 0, log_outcome: "drained" };
        await step("POST /runs/jobs/current/steps/{stepId}/report", params, { ...own, body: report });
      }
      await step("POST /runners/jobs/request", {}, { token: runner.session_token });
      return answers;
    };
    expect(await life("/")).toEqual(await life(""));
  });
});

// biome-ignore lint/suspicious/noExplicitAny: replies of every shape
// oxlint-disable-next-line typescript/no-explicit-any -- replies of every shape
type Succeed = (route: string, params: Record<string, string>, options: CallOptions) => Promise<any>;

/** A provisioner's day: it advertises, makes an instance, and says what became of it. */
async function exerciseProvisioner(
  succeed: Succeed,
  { token, workspaceId }: { token: string; workspaceId: string },
): Promise<void> {
  const made = await succeed(
    "POST /workspaces/{workspaceId}/provisioners/tokens",
    { workspaceId },
    { token, body: {} },
  );
  const call = (route: string, body?: unknown) =>
    succeed(route, {}, { token: made.raw_token, ...(body === undefined ? {} : { body }) });
  await call("GET /provisioners/me");
  const small = { template_key: "small", labels: ["linux", "small"], available_slots: 2, starting: 0, running: 0 };
  await call("POST /provisioners/demand/poll", { max_reservations: 10, templates: [small] });
  const base = "POST /provisioners/runner-instances";
  const batch = { provider_kind: "docker", runner_instances: [{ template_key: "small" }, { template_key: "small" }] };
  const { runner_instances: instances } = await call(`${base}/batch`, batch);
  const [one, other] = instances.map((instance: { runner_instance_id: string }) => instance.runner_instance_id);
  const event = { runner_instance_id: one, provider_runner_id: "i-0abc", state: "running" };
  await call(`${base}/report`, { events: [event] });
  await call(`${base}/reconcile`, { observed_runner_instance_ids: [one] });
  await call(`${base}/drain`, { runner_instance_ids: [one] });
  await call("DELETE /provisioners/pool");
  const instancesOf = "/workspaces/{workspaceId}/runner-instances";
  await succeed(`GET ${instancesOf}`, { workspaceId }, { token });
  await succeed(`GET ${instancesOf}/{instanceId}`, { workspaceId, instanceId: one }, { token });
  await succeed(`POST ${instancesOf}/{instanceId}/drain`, { workspaceId, instanceId: other }, { token });
  await succeed(`POST ${instancesOf}/{instanceId}/terminate`, { workspaceId, instanceId: other }, { token });
}

/** The routes of agent providers, each once; `models` is the server that they call. */
async function exerciseAgents(
  succeed: Succeed,
  { token, workspaceId }: { token: string; workspaceId: string },
  models: ModelServer,
): Promise<void> {
  for (const path of ["/agent/provider-catalog", "/agent/model-provider-catalog"]) {
    await succeed(`GET ${path}`, {}, { token });
  }
  const agent = "/workspaces/{workspaceId}/agent";
  const inAgent = (route: string, body?: unknown) =>
    succeed(
      route,
      { workspaceId, providerId: "deepseek", slug: "own" },
      { token, ...(body === undefined ? {} : { body }) },
    );
  const configuration = { credentials: { api_key: KEY }, default_model: "model-a" };
  await inAgent(`PUT ${agent}`, { provider_id: "deepseek", ...configuration });
  await inAgent(`POST ${agent}/{providerId}/default`);
  for (const segment of ["model-providers", "providers"]) {
    await inAgent(`PUT ${agent}/${segment}/{providerId}`, configuration);
    await inAgent(`PUT ${agent}/${segment}/{providerId}/default-model`, { default_model: null });
  }
  for (const segment of ["default-model-provider", "default-provider"]) {
    await inAgent(`PUT ${agent}/${segment}`, { provider_id: "deepseek" });
  }
  await inAgent(`PUT ${agent}/default-harness`, { harness_id: "pi" });
  const endpoint = { api: "openai-completions", base_url: models.url, api_key: KEY };
  const own = { slug: "own", display_name: "Own", models: [{ id: "model-a", label: "A" }], ...endpoint };
  await inAgent(`POST ${agent}/custom-model-providers`, own);
  await inAgent(`PUT ${agent}/custom-model-providers/{slug}`, { display_name: "Ours" });
  await inAgent(`POST ${agent}/custom-model-providers/discover-models`, endpoint);
  await inAgent(`POST ${agent}/custom-model-providers/{slug}/discover-models`);
  expect((await inAgent(`POST ${agent}/test`, { provider_id: "own" })).ok).toBe(true);
  for (const path of [agent, `${agent}/model-providers`, `${agent}/providers`]) await inAgent(`GET ${path}`);
  for (const segment of ["model-providers", "providers"]) {
    await inAgent(`DELETE ${agent}/${segment}/{providerId}`);
    if (segment === "model-providers") await inAgent(`PUT ${agent}`, { provider_id: "deepseek", ...configuration });
  }
}

/** The names and types in a body, whatever the ids, times and tokens are. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shapeOf(inner)]));
}

function isStranger(statuses: readonly number[]): boolean {
  return statuses.includes(404);
}

function showsNothing(route: string, { status, body }: Answer): boolean {
  const { annotations, total } = (body ?? {}) as { annotations?: unknown[]; total?: number };
  return EMPTY_FOR_STRANGERS.includes(route) && status === 200 && (annotations?.length ?? total) === 0;
}

/** Express adds all security headers, the handler in front of it two. */
function isFromExpress(answer: Answer): boolean {
  return answer.headers.has("strict-transport-security");
}
