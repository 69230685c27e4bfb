import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FakeRepository, GitHubServer } from "@shipfox/shared/github-server.fixture";
import { readConfig } from "../../../config.ts";
import type { RootKeys } from "../../../http/root-keys.ts";
import type { Store } from "../../../store/store.ts";
import { type ApiReply, serveApi, silentLog, TEST_ROOT_KEY, testClock } from "../../../testing/api.ts";
import { TestRepository } from "../../../testing/git-repository.ts";
import { insertProject, insertUser, insertWorkspace } from "../../../testing/rows.ts";
import { Envelope } from "../../secrets/public.ts";
import { storeTriggerEvent } from "../../triggers/public.ts";
import { access } from "../../workspaces/public.ts";
import { definitionSyncs } from "../definition-syncs.fixture.ts";
import {
  Checkouts,
  createGitHubRoutes,
  createIntegrationRoutes,
  openGit,
  openGitHub,
  Providers,
  Sources,
} from "../public.ts";

const urls = { allowFile: false, allowHttp: false, allowPrivate: false };
export const PUBLIC_URL = "https://shipfox.example";
export const WORKFLOW = "name: CI\njobs:\n  build:\n    runner: linux\n    steps:\n      - run: echo hello\n";

/** A workspace on a server that has a GitHub App, and the GitHub beside it. */
export async function openWorld(store: Store, rootKeys: Buffer | RootKeys = TEST_ROOT_KEY) {
  const github = await GitHubServer.start();
  const clock = testClock(Date.now());
  github.now = () => clock.now();
  const folder = await mkdtemp(join(tmpdir(), "shipfox-github-"));
  const dueAt: number[] = [];
  const config = readConfig(github.environment);
  const given = { config, rootKeys, publicUrl: PUBLIC_URL, store, clock, log: silentLog };
  const opened = openGitHub({ ...given, arm: (at) => void dueAt.push(at) });
  if (!opened) throw new Error("the GitHub App is not configured");
  const git = await openGit({ folder, urls, environment: process.env });
  const envelope = new Envelope(TEST_ROOT_KEY);
  const sources = new Sources({ envelope, urls, github: opened.sources });
  const providers = new Providers(["git", "github"]);
  const deps = { store, clock, access, sources, git };
  const syncs = definitionSyncs(deps);
  const api = await serveApi([
    ...createIntegrationRoutes({ ...deps, envelope, urls, providers, syncs, github: opened.sources }),
    ...createGitHubRoutes({
      storeDelivery: storeTriggerEvent,
      ...deps,
      providers,
      syncs,
      app: opened.app,
      onLinked: (workspaceId) => opened.checks.follow(workspaceId),
    }),
  ]);
  const users = {} as Record<"admin" | "maintainer" | "viewer" | "stranger", string>;
  for (const name of ["admin", "maintainer", "viewer", "stranger"] as const) users[name] = await insertUser(store);
  const { admin, maintainer, viewer } = users;
  const workspaceId = await insertWorkspace(store, {
    [admin]: "admin",
    [maintainer]: "maintainer",
    [viewer]: "viewer",
  });
  const repositories: TestRepository[] = [];

  return {
    github,
    clock,
    api,
    syncs,
    sources,
    users,
    workspaceId,
    app: opened.app,
    missed: opened.missed,
    checkouts: new Checkouts({ store, clock, sources }),
    /** A repository on GitHub with a workflow in it. */
    async repository(owner: string, name: string, id: number): Promise<FakeRepository & { git: TestRepository }> {
      const repository = await TestRepository.create();
      repositories.push(repository);
      await repository.commit({ ".shipfox/workflows/ci.yml": WORKFLOW });
      const shown = { id, owner, name, private: true, defaultBranch: "main", folder: repository.folder };
      return { ...shown, git: repository };
    },
    async state(user: string = admin, workspace: string = workspaceId): Promise<string> {
      const body = { workspace_id: workspace };
      const { body: reply } = await api.call("POST", "/integrations/github/install", { user, body });
      return new URL(reply.install_url).searchParams.get("state") as string;
    },
    callback(
      query: { code: string; state: string; installation_id: number; setup_action?: string },
      user: string = admin,
    ): Promise<ApiReply> {
      const text = new URLSearchParams({ ...query, installation_id: String(query.installation_id) }).toString();
      return api.call("GET", `/integrations/github/callback/api?${text}`, { user });
    },
    /** The whole flow; answers the connection's id. */
    async link(installationId: number): Promise<string> {
      const all = github.installations.get(installationId)?.repositories ?? [];
      const query = { code: github.codeOf(all), installation_id: installationId, state: await this.state() };
      const reply = await this.callback(query);
      if (reply.status !== 200) throw new Error(JSON.stringify(reply.body));
      return reply.body.id;
    },
    project(connectionId: string, repositoryId: number): Promise<string> {
      return insertProject(store, { workspaceId, connectionId, repository: `github:${repositoryId}` });
    },
    async close(): Promise<void> {
      opened.close();
      await Promise.all([api.close(), git.close(), syncs.stop()]);
      await Promise.all([github.close(), ...repositories.map((repository) => repository.remove())]);
      await rm(folder, { recursive: true });
    },
  };
}

export type World = Awaited<ReturnType<typeof openWorld>>;
