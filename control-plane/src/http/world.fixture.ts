import { createHash } from "node:crypto";
import { newId } from "@shipfox/shared/ids";
import { TestRepository } from "../testing/git-repository.ts";
import type { Credential } from "./route.ts";
import type { ServedApp } from "./served-app.fixture.ts";

const YAML = `name: World
runner: linux
triggers:
  by_hand: { source: manual, event: fire }
jobs:
  job:
    steps:
      - run: "true"
`;

/** One of everything that routes can name, in a workspace whose owner's credentials are here, with a job on a runner. */
export interface World {
  readonly ids: readonly string[];
  /** Values of path parameters that exist. */
  readonly params: Readonly<Record<string, readonly string[]>>;
  readonly bearers: Readonly<Record<Credential, string | undefined>>;
  close(): Promise<void>;
}

/** `owner` is the access token of whose workspace it shall be; without one somebody signs up. */
export async function buildWorld(app: ServedApp, owner?: string): Promise<World> {
  let token = owner ?? "";
  // biome-ignore lint/suspicious/noExplicitAny: replies of every shape
  // oxlint-disable-next-line typescript/no-explicit-any -- replies of every shape
  const call = async (method: string, path: string, body?: unknown, bearer = token): Promise<any> => {
    const response = await fetch(app.url + path, {
      method,
      headers: {
        ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? null : await response.json();
  };
  const repository = await TestRepository.create();
  await repository.commit({ ".shipfox/workflows/world.yml": YAML });

  const account = { email: "ada@example.com", password: "correct horse battery", name: "Ada" };
  if (owner === undefined) ({ token } = await call("POST", "/auth/signup", account));
  const workspace = await call("POST", "/workspaces", { name: "World" });
  const inWorkspace = `/workspaces/${workspace.id}`;
  const connection = await call("POST", "/integrations/git/connections", { workspace_id: workspace.id, name: "Git" });
  const source = { connection_id: connection.id, external_repository_id: `git:${repository.fileUrl}` };
  const project = await call("POST", "/projects", { workspace_id: workspace.id, name: "World", source });
  const definition = await call("POST", "/definitions", { project_id: project.id, yaml: YAML });
  const fire = `/workflow-definitions/${definition.id}/fire-manual`;
  const runId = (await call("POST", fire, {})).workflow_run_id;
  const hook = await call("POST", `${inWorkspace}/webhooks`, {
    url: "https://hooks.invalid/x",
    events: ["run.finished"],
  });
  const delivery = await call("POST", `${inWorkspace}/webhooks/${hook.id}/test`);
  const inbound = { workspace_id: workspace.id, name: "World", slug: "world" };
  const custom = await call("POST", "/integrations/webhook/connections", inbound);
  await call("POST", `/webhook/${custom.id}`, { severity: "high" }, "");
  const events = await call("GET", `/trigger-events?workspace_id=${workspace.id}`);
  const registry = { host: "registry.example", username: "ci", password: "secret" };
  const credential = await call("POST", `${inWorkspace}/registry-credentials`, registry);
  for (const kind of ["secrets", "variables"]) await call("PUT", `${inWorkspace}/${kind}/KEY`, { value: "a value" });
  const registration = await call("POST", `${inWorkspace}/runners/manual-registration-tokens`, { name: "world" });
  const machine = { labels: ["linux"], persistent: true, name: "world" };
  const runner = await call("POST", "/runners/register", machine, registration.raw_token);
  const job = await call("POST", "/runners/jobs/request", undefined, runner.session_token);
  const next = await call("POST", "/runs/jobs/current/steps/next", undefined, job.lease_token);
  const artifactId = await uploadFiles(app, job.lease_token);
  const { sessions } = await call("GET", "/auth/sessions");
  const provisioner = await call("POST", `${inWorkspace}/provisioners/tokens`, { name: "world" });
  const template = { template_key: "small", labels: ["linux"], available_slots: 1, starting: 0, running: 0 };
  const advertised = { max_reservations: 0, templates: [template] };
  await call("POST", "/provisioners/demand/poll", advertised, provisioner.raw_token);
  const batch = { runner_instances: [{ template_key: "small" }] };
  const made = await call("POST", "/provisioners/runner-instances/batch", batch, provisioner.raw_token);

  const known = {
    workspaceId: [workspace.id],
    projectId: [project.id],
    definitionId: [definition.id],
    connectionId: [connection.id, custom.id],
    id: [runId],
    webhookId: [hook.id],
    deliveryId: [delivery.id],
    eventId: [events.trigger_events[0].id],
    credentialId: [credential.id],
    runnerId: [runner.runner_id],
    jobId: [job.job_id],
    artifactId: [artifactId],
    instanceId: [made.runner_instances[0].runner_instance_id],
    stepId: [next.step.id],
    sessionId: [sessions[0].id],
    tokenId: [registration.id],
    attempt: ["1"],
    key: ["KEY"],
    providerId: ["anthropic", "own"],
    slug: ["own"],
    file: ["start.js"],
    code: ["not-found"],
  };
  return {
    ids: [...Object.values(known).flat().filter(isId), newId()],
    params: known,
    bearers: {
      none: undefined,
      user: token,
      registration: registration.raw_token,
      "runner-session": runner.session_token,
      lease: next.lease_token,
      provisioner: provisioner.raw_token,
    },
    close: () => repository.remove(),
  };
}

function isId(value: string): boolean {
  return /^[0-9a-f-]{36}$/.test(value);
}

/** Answers the id of an artifact; there is a cache as well. */
async function uploadFiles(app: ServedApp, lease: string): Promise<string> {
  const content = "packed";
  const file = { size: content.length, sha256: createHash("sha256").update(content).digest("hex") };
  const call = async (method: string, path: string, type: string, body?: string): Promise<{ upload_id: string }> => {
    const headers = { authorization: `Bearer ${lease}`, "content-type": type };
    const response = await fetch(`${app.url}/runs/jobs/current/${path}`, { method, headers, body: body ?? null });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as { upload_id: string };
  };
  const upload = async (path: string, name: object): Promise<string> => {
    const { upload_id: id } = await call("POST", path, "application/json", JSON.stringify({ ...name, ...file }));
    await call("PUT", `${path}/${id}?offset=0`, "application/octet-stream", content);
    await call("POST", `${path}/${id}/complete`, "application/json");
    return id;
  };
  await upload("caches", { key: "npm-1" });
  return upload("artifacts", { name: "dist" });
}
