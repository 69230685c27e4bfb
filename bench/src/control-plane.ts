import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { SessionReply } from "@shipfox/shared/api/accounts";
import type { Definition } from "@shipfox/shared/api/definitions";
import type { Connection } from "@shipfox/shared/api/integrations";
import type { Project } from "@shipfox/shared/api/projects";
import type { CreatedRegistrationToken } from "@shipfox/shared/api/runners";
import type { Workspace } from "@shipfox/shared/api/workspaces";
import { RATE_LIMITS_OFF } from "@shipfox/shared/rate-limits-off.fixture";
import { execa } from "execa";
import { JsonClient } from "./json-client.ts";
import { awaitReady, freePort, type ServerProcess, startProcess } from "./server-process.ts";

const COMMAND = fileURLToPath(import.meta.resolve("../../control-plane/bin/shipfox-control-plane"));
const GIT_TIMEOUT_MS = 10_000;

/** The real control plane in a process of its own, with an account, a workspace and a project that is ready to fire. */
export interface ControlPlane {
  readonly url: string;
  readonly process: ServerProcess;
  /** Of the account; lives 15 minutes. */
  readonly token: string;
  readonly workspaceId: string;
  readonly projectId: string;
}

export interface PlaneOptions {
  /** Further variables. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Of the project; default: one on this machine with an empty commit. */
  readonly repositoryUrl?: string;
}

/** `folder` is empty and its own. */
export async function startControlPlane(
  folder: string,
  resources: AsyncDisposableStack,
  { settings = {}, repositoryUrl }: PlaneOptions = {},
): Promise<ControlPlane> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = startProcess(
    {
      name: "the control plane",
      command: COMMAND,
      env: {
        PORT: String(port),
        HOST: "127.0.0.1",
        SHIPFOX_DATA_DIR: join(folder, "data"),
        SHIPFOX_LOG_LEVEL: "warn",
        SHIPFOX_GIT_ALLOW_FILE: "true",
        ...RATE_LIMITS_OFF,
        SHIPFOX_MAX_OPEN_STREAMS: "0",
        ...settings,
      },
      logFile: join(folder, "control-plane.log"),
    },
    resources,
  );
  await awaitReady(`${url}/readyz`, server);
  const client = new JsonClient(url, 1);
  try {
    const repository = repositoryUrl ?? (await makeRepository(join(folder, "repository")));
    return { url, process: server, ...(await openProject(client, repository)) };
  } finally {
    client.close();
  }
}

export async function createDefinition(client: JsonClient, plane: ControlPlane, yaml: string): Promise<string> {
  const definition = await client.call<Definition>("POST", "/definitions", {
    token: plane.token,
    body: { project_id: plane.projectId, yaml },
  });
  return definition.id;
}

/** A token with which any number of runners may register. */
export async function createRegistrationToken(client: JsonClient, plane: ControlPlane): Promise<string> {
  const path = `/workspaces/${plane.workspaceId}/runners/manual-registration-tokens`;
  const reply = await client.call<CreatedRegistrationToken>("POST", path, {
    token: plane.token,
    body: { name: "bench" },
  });
  return reply.raw_token;
}

async function openProject(client: JsonClient, repositoryUrl: string) {
  const account = { email: "bench@example.com", password: "a long enough password", name: "Bench" };
  const { token } = await client.call<SessionReply>("POST", "/auth/signup", { body: account });
  const create = <T>(path: string, body: unknown) => client.call<T>("POST", path, { token, body });
  const workspace = await create<Workspace>("/workspaces", { name: "Bench" });
  const connection = await create<Connection>("/integrations/git/connections", {
    workspace_id: workspace.id,
    name: "bench",
  });
  const project = await create<Project>("/projects", {
    workspace_id: workspace.id,
    name: "Bench",
    source: { connection_id: connection.id, external_repository_id: `git:${repositoryUrl}` },
  });
  return { token, workspaceId: workspace.id, projectId: project.id };
}

/** Answers its address. */
async function makeRepository(folder: string): Promise<string> {
  await mkdir(folder);
  const identity = ["-c", "user.name=Bench", "-c", "user.email=bench@example.com"];
  const git = (...args: string[]) => execa("git", [...identity, ...args], { cwd: folder, timeout: GIT_TIMEOUT_MS });
  await git("init", "--quiet", "--initial-branch=main");
  await git("commit", "--quiet", "--allow-empty", "--message=Start");
  return pathToFileURL(folder).href;
}
