import type { Client } from "@shipfox/client";
import type { Definition } from "@shipfox/shared/api/definitions";
import type { Project } from "@shipfox/shared/api/projects";
import type { StoredRegistryCredential } from "@shipfox/shared/api/registries";
import type { Runner } from "@shipfox/shared/api/runners";
import type { Member, Membership } from "@shipfox/shared/api/workspaces";
import { isId } from "@shipfox/shared/ids";
import { usageError } from "./cli-error.ts";
import { readRows } from "./paging.ts";
import { plainText } from "./render/plain-text.ts";

const PAGE_SIZE = 100;
/** A longer list is cut: a person must narrow it down anyway. */
const MAX_CHOICES = 5_000;
const MAX_NAMED_CHOICES = 20;
/** Machines that ran one job each stay in the list. */
const MAX_NAMED_RUNNERS = 10;
const RUN_REFERENCE = /^(?:(.*)#)?(\d{1,9})$/s;
/** Run numbers are looked up among so many newest runs. */
const NUMBERED_RUNS = 100;

export interface Scope {
  /** Slug, id or name of a workspace. */
  workspace?: string;
  /** Slug, id or name of a project. */
  project?: string;
}

/** The named workspace, or the only one. Throws a usage error that names the choices. */
export async function chooseWorkspace(api: Client, reference: string | undefined): Promise<Membership> {
  const memberships = (await api.workspaces.list()).memberships.filter(
    (membership) => membership.workspace_status === "active",
  );
  const found = pick(memberships, reference, (membership) => [
    membership.workspace_slug,
    membership.workspace_id,
    membership.workspace_name,
  ]);
  if (found) return found;
  if (memberships.length === 0) throw usageError("You are in no workspace yet.", "shipfox workspaces create my-team");
  const slugs = memberships.map((membership) => membership.workspace_slug);
  throw usageError(complain("workspace", reference, slugs), `add --workspace ${slugs[0]}`);
}

/** The named project, or the only one of the workspace. Throws a usage error that names the choices. */
export async function chooseProject(api: Client, scope: Scope): Promise<Project> {
  if (scope.project !== undefined && isId(scope.project)) return await api.projects.get({ projectId: scope.project });
  const workspace = await chooseWorkspace(api, scope.workspace);
  const { rows: projects } = await readRows(MAX_CHOICES, async (page) => {
    const reply = await api.projects.list({ workspace_id: workspace.workspace_id, ...page });
    return { rows: reply.projects, next: reply.next_cursor };
  });
  const found = pick(projects, scope.project, (project) => [project.slug, project.id, project.name]);
  if (found) return found;
  if (projects.length === 0) {
    throw usageError(
      `The workspace ${workspace.workspace_slug} has no project yet.`,
      "shipfox projects create --repo https://github.com/owner/repo.git",
    );
  }
  const slugs = projects.map((project) => project.slug);
  throw usageError(complain("project", scope.project, slugs), `add --project ${slugs[0]}`);
}

export async function chooseMember(api: Client, workspaceId: string, email: string): Promise<Member> {
  const { members } = await api.members.list({ workspaceId });
  const member = members.find((candidate) => candidate.user_email === email.toLowerCase());
  if (!member) throw usageError(`No member has the address ${plainText(email)}.`, "shipfox members list");
  return member;
}

export async function allDefinitions(api: Client, projectId: string): Promise<Definition[]> {
  const { rows } = await readRows(MAX_CHOICES, async (page) => {
    const reply = await api.definitions.list({ project_id: projectId, ...page });
    return { rows: reply.definitions, next: reply.next_cursor };
  });
  return rows;
}

/**
 * The definition called `reference`: its id, its name, its config path, or the file name of that path with or without
 * extension; the first of these that matches exactly one. Throws a usage error that names the choices.
 */
export function chooseDefinition(definitions: readonly Definition[], reference: string): Definition {
  const wanted = reference.replace(/^\.\//, "");
  const rules: ((definition: Definition) => boolean)[] = [
    (definition) => definition.id === wanted,
    (definition) => definition.config_path === wanted,
    (definition) => definition.name === wanted,
    (definition) => fileNames(definition).includes(wanted),
    (definition) => definition.name.toLowerCase() === wanted.toLowerCase(),
  ];
  for (const rule of rules) {
    const matches = definitions.filter(rule);
    if (matches.length === 1) return matches[0] as Definition;
    if (matches.length > 1) {
      const paths = matches.map((definition) => definition.config_path ?? definition.id);
      throw usageError(
        `Several workflows are called "${reference}": ${nameChoices(paths)}.`,
        `shipfox run ${paths[0]}`,
      );
    }
  }
  if (definitions.length === 0) {
    throw usageError("The project has no workflow yet.", "add .shipfox/workflows/ci.yml, then: shipfox projects sync");
  }
  const names = definitions.map((definition) => definition.name);
  throw usageError(
    `There is no workflow "${reference}"; there are: ${nameChoices(names)}.`,
    `shipfox run ${quoteWord(names[0] as string)}`,
    "when it is new in the repository: shipfox projects sync",
  );
}

/**
 * The id of a run given by id, by workflow and number (`ci#7`), or by number alone (`7`, `#7`) when only one workflow has
 * such a run among the newest of the project: each workflow counts its own runs. Throws a usage error that says what to type.
 */
export async function chooseRun(api: Client, reference: string, scope: Scope): Promise<string> {
  if (isId(reference.toLowerCase())) return reference.toLowerCase();
  const [, workflow = "", digits] = RUN_REFERENCE.exec(reference) ?? [];
  if (digits === undefined) {
    throw usageError(
      `"${reference}" is neither the id of a run, nor its number (7), nor its workflow and number (ci#7).`,
      "shipfox runs list",
    );
  }
  const number = Number(digits);
  const project = await chooseProject(api, scope);
  if (workflow !== "") return await chooseRunOf(api, project, workflow, number);
  const { runs } = await api.runs.list({ project_id: project.id, limit: NUMBERED_RUNS });
  const matches = runs.filter((run) => run.number === number);
  if (matches.length === 1) return (matches[0] as { id: string }).id;
  if (matches.length === 0) {
    throw usageError(
      `None of the newest ${NUMBERED_RUNS} runs of ${project.slug} has the number ${number}.`,
      "shipfox runs list",
      `for an older one, name its workflow too: <workflow>#${number}`,
    );
  }
  const names = matches.map((run) => run.workflow_name);
  const isClear = new Set(names.map((name) => name.toLowerCase())).size === names.length;
  const choices = isClear
    ? names.map((name) => quoteWord(`${name}#${number}`))
    : matches.map((run) => `${run.id} (${run.workflow_name})`);
  throw usageError(
    `Each workflow counts its own runs, and ${matches.length} have a run ${number}: ${nameChoices(choices)}.`,
    isClear ? `type ${choices[0]} instead of ${reference}` : "name the run by its id",
  );
}

/** Newest first, a page at a time: until the numbers are lower than the wanted one. */
async function chooseRunOf(api: Client, project: Project, workflow: string, number: number): Promise<string> {
  const definition = chooseDefinition(await allDefinitions(api, project.id), workflow);
  let cursor: string | undefined;
  for (let seen = 0; seen < MAX_CHOICES; seen += PAGE_SIZE) {
    const reply = await api.runs.list({
      project_id: project.id,
      definition_id: definition.id,
      limit: PAGE_SIZE,
      cursor,
    });
    const match = reply.runs.find((run) => run.number === number);
    if (match) return match.id;
    if (reply.next_cursor === null || reply.runs.some((run) => run.number < number)) break;
    cursor = reply.next_cursor;
  }
  throw usageError(`${definition.name} has no run ${number}.`, `shipfox runs list --workflow ${quoteWord(workflow)}`);
}

export function chooseRunner(runners: readonly Runner[], reference: string): Runner {
  const found = pick(runners, reference, (runner) => [runner.id, runner.name]);
  if (found) return found;
  const twins = runners.filter((runner) => runner.name === reference);
  if (twins.length > 1) {
    const ids = twins.map((runner) => runner.id);
    throw usageError(`Several runners are called "${reference}": ${nameChoices(ids)}.`, "name the runner by its id");
  }
  if (runners.length === 0) throw usageError("The workspace has no runner yet.", "shipfox runners add");
  const present = runners.filter(isOnline);
  const others = runners.filter((runner) => !isOnline(runner));
  const names = [...present, ...others].map((runner) => runner.name);
  throw usageError(complain("runner", reference, names, MAX_NAMED_RUNNERS), "shipfox runners list --online");
}

/** Whether it is there and takes jobs, or has some. */
export function isOnline({ state }: Runner): boolean {
  return state === "online" || state === "busy";
}

export function chooseRegistryCredential(
  credentials: readonly StoredRegistryCredential[],
  reference: string,
): StoredRegistryCredential {
  const found = pick(credentials, reference, (credential) => [credential.id, credential.host]);
  if (found) return found;
  const twins = credentials.filter((credential) => credential.host === reference.toLowerCase());
  if (twins.length > 1) {
    const ids = twins.map((credential) => credential.id);
    throw usageError(
      `Several credentials are for "${reference}": ${nameChoices(ids)}.`,
      "name the credential by its id",
    );
  }
  if (credentials.length === 0)
    throw usageError("The workspace has no registry credential.", "shipfox registries add <host>");
  const hosts = credentials.map((credential) => credential.host);
  throw usageError(complain("registry credential", reference, hosts), "shipfox registries list");
}

/** By one of the keys when a reference is given, in the order of the keys; else the only row there is. */
function pick<Row>(rows: readonly Row[], reference: string | undefined, keys: (row: Row) => string[]): Row | undefined {
  if (reference === undefined) return rows.length === 1 ? rows[0] : undefined;
  const keyCount = rows[0] === undefined ? 0 : keys(rows[0]).length;
  for (let index = 0; index < keyCount; index += 1) {
    const matches = rows.filter((row) => keys(row)[index]?.toLowerCase() === reference.toLowerCase());
    if (matches.length === 1) return matches[0];
  }
  return undefined;
}

function complain(kind: string, reference: string | undefined, choices: string[], most = MAX_NAMED_CHOICES): string {
  if (reference === undefined) return `There are ${choices.length} ${kind}s: ${nameChoices(choices, most)}.`;
  return `There is no ${kind} "${reference}"; there ${choices.length === 1 ? "is" : "are"}: ${nameChoices(choices, most)}.`;
}

function nameChoices(choices: readonly string[], most = MAX_NAMED_CHOICES): string {
  const more = choices.length - most;
  return choices.slice(0, most).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function fileNames(definition: Definition): string[] {
  const file = definition.config_path?.split("/").at(-1);
  return file === undefined ? [] : [file, file.replace(/\.ya?ml$/, "")];
}

/** A word for a shell, quoted only when it must be. */
export function quoteWord(text: string): string {
  return /^[\w@%+=:,./-][\w@%+=:,./#-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
