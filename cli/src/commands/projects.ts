import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "@shipfox/client";
import type { Definition, DefinitionSync } from "@shipfox/shared/api/definitions";
import type { Project } from "@shipfox/shared/api/projects";
import type { Command } from "commander";
import type { WorkspaceOption } from "../choose-scope.ts";
import { allDefinitions, chooseProject, chooseWorkspace, quoteWord } from "../choose.ts";
import { CliError, usageError } from "../cli-error.ts";
import {
  type CommandContext,
  finishCommand,
  type JsonOption,
  nextLine,
  printResult,
  withExamples,
} from "../command-context.ts";
import { EXIT } from "../exit-codes.ts";
import { ensureGitConnection, type GitCredential, takeBack } from "../git-connection.ts";
import { type PagingOptions, readPages, tellMore, withPaging } from "../paging.ts";
import { readSecretFromStdin } from "../prompts.ts";
import { readTextFile } from "../read-file.ts";
import { plainText } from "../render/plain-text.ts";
import { withProgress } from "../render/progress.ts";
import { describeSyncFailure } from "../render/sync-failure.ts";
import { renderTable } from "../render/table.ts";
import { age } from "../render/time.ts";
import { parseRepository } from "../repository-url.ts";
import { openSession } from "../session.ts";

const SYNC_TIMEOUT_MS = 120_000;
const SYNC_POLL_MS = 500;

interface CreateOptions extends WorkspaceOption {
  repo: string;
  name?: string;
  slug?: string;
  connection?: string;
  gitUsername?: string;
  gitTokenStdin?: boolean;
  sshKeyFile?: string;
}

interface UpdateOptions extends WorkspaceOption {
  name?: string;
  slug?: string;
  untrustedSecrets?: boolean;
}

export function registerProjects(program: Command, context: CommandContext): void {
  const projects = withExamples(
    program.command("projects").description("list, create, sync and change projects"),
    "shipfox projects create --repo https://github.com/owner/repo.git",
    "shipfox projects sync",
  );
  const workspaceHelp = "slug or id of the workspace (default: the only one)";
  finishCommand(
    withPaging(projects.command("list").description("list the projects of a workspace"))
      .option("-w, --workspace <workspace>", workspaceHelp)
      .action((options: WorkspaceOption & PagingOptions) => listProjects(context, options)),
    "shipfox projects list",
    "shipfox projects list --all --json",
  );
  finishCommand(
    projects
      .command("create")
      .description("create a project from a git repository and read its workflows")
      .requiredOption(
        "--repo <url>",
        "git URL (https, ssh, git@host:owner/repo), or a folder when the server allows it",
      )
      .option("--name <name>", "name of the project (default: the repository's)")
      .option("--slug <slug>", "name for options (default: made from the name)")
      .option("-w, --workspace <workspace>", workspaceHelp)
      .option("--connection <connection>", "git connection to use (default: the one for the host, made when missing)")
      .option("--git-username <name>", "user name that belongs to the token")
      .option("--git-token-stdin", "read an access token for the repository from stdin")
      .option("--ssh-key-file <file>", "private SSH key for the repository")
      .action((options: CreateOptions) => createProject(context, options)),
    "shipfox projects create --repo https://github.com/owner/repo.git",
    "shipfox projects create --repo https://git.example.com/shop.git --git-username ci --git-token-stdin < token.txt",
    "shipfox projects create --repo git@git.example.com:team/shop.git --ssh-key-file ~/.ssh/deploy_key",
  );
  finishCommand(
    projects
      .command("sync")
      .description("read the workflows of the default branch again")
      .argument("[project]", "slug or id of the project (default: the only one)")
      .option("-w, --workspace <workspace>", workspaceHelp)
      .action((project: string | undefined, options: WorkspaceOption) => syncProject(context, project, options)),
    "shipfox projects sync",
    "shipfox projects sync shop",
  );
  finishCommand(
    projects
      .command("update")
      .description("change a project: its name, its slug, or who gets its secrets")
      .argument("[project]", "slug or id of the project (default: the only one)")
      .option("--name <name>", "another name")
      .option("--slug <slug>", "another slug")
      .option("--untrusted-secrets", "approved runs of strangers' code get the secrets that their workflow names")
      .option("--no-untrusted-secrets", "they get none, which is the default")
      .option("-w, --workspace <workspace>", workspaceHelp)
      .action((project: string | undefined, options: UpdateOptions) => updateProject(context, project, options)),
    "shipfox projects update shop --name Shop",
    "shipfox projects update shop --untrusted-secrets",
  );
}

async function updateProject(
  context: CommandContext,
  reference: string | undefined,
  options: UpdateOptions,
): Promise<void> {
  const { name, slug, untrustedSecrets } = options;
  const change = {
    ...(name === undefined ? {} : { name }),
    ...(slug === undefined ? {} : { slug }),
    ...(untrustedSecrets === undefined ? {} : { untrusted_secrets: untrustedSecrets }),
  };
  if (Object.keys(change).length === 0)
    throw usageError("Nothing is to be changed: give an option.", "shipfox projects update --help");
  const { api } = await openSession(context.env);
  const { id } = await chooseProject(api, { project: reference, workspace: options.workspace });
  const project = await api.projects.update({ projectId: id, ...change });
  const strangers = project.untrusted_secrets ? "get the secrets that they name" : "get no secrets";
  await printResult(context, options, {
    document: project,
    text: () => `✓ Changed the project ${plainText(project.slug)}. Runs of strangers' code ${strangers}.`,
  });
}

async function listProjects(context: CommandContext, options: WorkspaceOption & PagingOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const { rows: projects, next } = await readPages(options, async (page) => {
    const reply = await api.projects.list({ workspace_id: workspace.workspace_id, ...page });
    return { rows: reply.projects, next: reply.next_cursor };
  });
  await printResult(context, options, {
    document: { projects, next_cursor: next },
    text: () => projectTable(context, projects),
  });
  tellMore(context, options, next);
}

function projectTable(context: CommandContext, projects: readonly Project[]): string {
  const { terminal } = context;
  if (projects.length === 0) {
    return `There is no project yet.\n${nextLine(context, "shipfox projects create --repo https://github.com/owner/repo.git")}`;
  }
  return renderTable(
    terminal,
    [
      { head: "SLUG", text: (project) => project.slug },
      { head: "REPOSITORY", text: (project) => project.source.external_repository_id, flex: true },
      { head: "CREATED", text: (project) => age(project.created_at) },
      { head: "ID", text: (project) => project.id, style: (text) => terminal.colors.dim(text), expendable: true },
    ],
    projects,
  );
}

async function createProject(context: CommandContext, options: CreateOptions): Promise<void> {
  const repository = parseRepository(options.repo, context.cwd);
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const credential = await readCredential(context, options);
  const result = await withProgress(context.terminal, `Reading ${repository.cloneUrl}`, async () => {
    const { connection, isNew } = await ensureGitConnection(api, {
      workspaceId: workspace.workspace_id,
      repository,
      connection: options.connection,
      credential,
    });
    const request = {
      workspace_id: workspace.workspace_id,
      name: options.name ?? repository.name,
      slug: options.slug,
      source: { connection_id: connection.id, external_repository_id: `git:${repository.cloneUrl}` },
    };
    const project = await api.projects.create(request).catch(async (error: unknown) => {
      if (isNew) await takeBack(api, connection);
      throw error;
    });
    return { project, ...(await runSync(api, project)) };
  });
  await showSync(context, options, result);
}

async function readCredential(context: CommandContext, options: CreateOptions): Promise<GitCredential | null> {
  const { gitTokenStdin, gitUsername: username, sshKeyFile } = options;
  if (gitTokenStdin && sshKeyFile !== undefined)
    throw usageError("Give either a token or an SSH key, not both.", "shipfox projects create --help");
  if (sshKeyFile !== undefined)
    return { ssh_key: await readTextFile(context.cwd, sshKeyFile, "shipfox projects create --help") };
  if (!gitTokenStdin) {
    if (username === undefined) return null;
    throw usageError("A user name needs its token.", "add --git-token-stdin < token.txt");
  }
  const token = await readSecretFromStdin(context.terminal);
  if (token === "") throw usageError("The token on stdin is empty.", "add --git-token-stdin < token.txt");
  return { token, username };
}

async function syncProject(
  context: CommandContext,
  reference: string | undefined,
  options: WorkspaceOption,
): Promise<void> {
  const { api } = await openSession(context.env);
  const project = await chooseProject(api, { project: reference, workspace: options.workspace });
  const result = await withProgress(context.terminal, `Reading the workflows of ${project.slug}`, () =>
    runSync(api, project),
  );
  await showSync(context, options, { project, ...result });
}

interface SyncResult {
  sync: DefinitionSync;
  definitions: Definition[];
}

/** Asks for a sync and waits until it has ended. */
async function runSync(api: Client, project: Project): Promise<SyncResult> {
  await api.projects.sync({ projectId: project.id });
  const giveUpAt = performance.now() + SYNC_TIMEOUT_MS;
  for (;;) {
    const { sync } = await api.definitions.list({ project_id: project.id, limit: 1 });
    if (sync !== null && (sync.status === "succeeded" || sync.status === "failed")) {
      return { sync, definitions: await allDefinitions(api, project.id) };
    }
    if (performance.now() > giveUpAt) {
      throw new CliError(`The sync of ${project.slug} has not ended in ${SYNC_TIMEOUT_MS / 1000} s.`, {
        exitCode: EXIT.api,
        code: "sync-timeout",
        next: [`shipfox projects sync ${project.slug}`],
      });
    }
    await sleep(SYNC_POLL_MS * (0.8 + Math.random() * 0.4));
  }
}

async function showSync(
  context: CommandContext,
  options: JsonOption,
  result: SyncResult & { project: Project },
): Promise<void> {
  const { project, sync, definitions } = result;
  if (sync.status === "failed") context.exitCode = EXIT.failed;
  const workflows = definitions.map(({ id, name, config_path, manual_trigger }) => ({
    id,
    name,
    config_path,
    manual_trigger,
  }));
  await printResult(context, options, {
    document: { project, sync, definitions: workflows },
    text: () => describeSync(context, project, sync, definitions),
  });
}

function describeSync(
  context: CommandContext,
  project: Project,
  sync: DefinitionSync,
  definitions: readonly Definition[],
): string {
  const { colors } = context.terminal;
  const lines = [`${colors.green("✓")} Project ${plainText(project.name)} (${project.slug})`];
  for (const warning of sync.warnings) {
    const path = warning.path === undefined ? "" : `${plainText(warning.path)}: `;
    lines.push(`  ${colors.yellow("!")} ${path}${plainText(warning.message)}`);
  }
  if (sync.status === "failed") {
    lines.push(...describeSyncFailure(colors, sync));
    lines.push(nextLine(context, `correct the repository, then: shipfox projects sync ${project.slug}`));
    return lines.join("\n");
  }
  for (const definition of definitions) {
    lines.push(`  ${plainText(definition.name)} ${colors.dim(plainText(definition.config_path ?? ""))}`);
  }
  const manual = definitions.find((definition) => definition.manual_trigger !== null);
  if (manual)
    lines.push(
      nextLine(context, `shipfox run ${quoteWord(plainText(manual.name))} --project ${project.slug} --follow`),
    );
  return lines.join("\n");
}
