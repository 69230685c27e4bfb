import { createHash } from "node:crypto";
import type { CallOptions } from "./contract.fixture.ts";

const CONTENT = "a packed folder";
const FILE = { size: CONTENT.length, sha256: createHash("sha256").update(CONTENT).digest("hex") };
const OCTETS = { "content-type": "application/octet-stream" };
const ARTIFACTS = "/runs/jobs/current/artifacts";
const CACHES = "/runs/jobs/current/caches";
const YAML = `name: Files
runner: files
triggers:
  by_hand: { source: manual, event: fire }
jobs:
  build: { steps: [{ run: make }] }
  test: { needs: build, steps: [{ run: make test }] }
`;

// biome-ignore lint/suspicious/noExplicitAny: replies of every shape
// oxlint-disable-next-line typescript/no-explicit-any -- replies of every shape
type Succeed = (route: string, params: Record<string, string>, options?: CallOptions) => Promise<any>;

/** The routes of artifacts and caches, each once: a job leaves both and one that needs it gets them. */
export async function tourFiles(
  succeed: Succeed,
  { token, workspaceId, projectId }: { token: string; workspaceId: string; projectId: string },
): Promise<void> {
  const definition = await succeed("POST /definitions", {}, { token, body: { project_id: projectId, yaml: YAML } });
  const fire = "POST /workflow-definitions/{definitionId}/fire-manual";
  const { workflow_run_id: id } = await succeed(fire, { definitionId: definition.id }, { token, body: {} });
  const tokens = "POST /workspaces/{workspaceId}/runners/manual-registration-tokens";
  const registration = await succeed(tokens, { workspaceId }, { token, body: {} });
  const registering = { token: registration.raw_token, body: { labels: ["files"] } };
  const { session_token: session } = await succeed("POST /runners/register", {}, registering);
  const claim = () => succeed("POST /runners/jobs/request", {}, { token: session });

  const { lease_token: build } = await claim();
  const upload = async (path: string, name: object): Promise<string> => {
    const begun = await succeed(`POST ${path}`, {}, { token: build, body: { ...name, ...FILE } });
    const params = { uploadId: begun.upload_id as string };
    const part = { token: build, body: CONTENT, headers: OCTETS, suffix: "?offset=0" };
    await succeed(`PUT ${path}/{uploadId}`, params, part);
    return (await succeed(`POST ${path}/{uploadId}/complete`, params, { token: build })).id;
  };
  const artifactId = await upload(ARTIFACTS, { name: "dist" });
  const cacheId = await upload(CACHES, { key: "npm-1" });
  for (;;) {
    const next = await succeed("POST /runs/jobs/current/steps/next", {}, { token: build });
    if (next.kind === "done") break;
    const body = { status: "succeeded", attempt: 1, exit_code: 0, log_outcome: "drained" };
    const report = "POST /runs/jobs/current/steps/{stepId}/report";
    await succeed(report, { stepId: next.step.id }, { token: next.lease_token, body });
  }

  const { lease_token: test, job_id: jobId } = await claim();
  await succeed(`GET ${ARTIFACTS}`, {}, { token: test, suffix: "?job=build&name=dist" });
  await succeed(`GET ${ARTIFACTS}/{artifactId}/content`, { artifactId }, { token: test });
  await succeed(`GET ${CACHES}`, {}, { token: test, suffix: "?key=npm-2&restore_keys=npm-" });
  await succeed(`GET ${CACHES}/{cacheId}/content`, { cacheId }, { token: test });
  await succeed("POST /runners/jobs/{jobId}/release", { jobId }, { token: test, body: { reason: "draining" } });
  await succeed("POST /workflows/runs/{id}/cancel", { id }, { token });
  await succeed("DELETE /runners/session", {}, { token: session });

  await succeed("GET /workflows/runs/{id}/artifacts", { id }, { token });
  const part = { token, headers: { range: "bytes=0-3" } };
  await succeed("GET /artifacts/{artifactId}", { artifactId }, part);
  await succeed("DELETE /artifacts/{artifactId}", { artifactId }, { token });
  await succeed("GET /projects/{projectId}/caches", { projectId }, { token });
  await succeed("DELETE /projects/{projectId}/caches", { projectId }, { token, suffix: "?key=npm-1" });
}
