import type { Command } from "commander";
import type { Client } from "@shipfox/client";
import { chooseProject, chooseWorkspace } from "./choose.ts";
import type { JsonOption } from "./command-context.ts";
import { plainText } from "./render/plain-text.ts";

export interface WorkspaceOption extends JsonOption {
  workspace?: string;
}

export interface ScopeOptions extends WorkspaceOption {
  project?: string;
}

export function withWorkspace(command: Command): Command {
  return command.option("-w, --workspace <workspace>", "slug or id of the workspace (default: the only one)");
}

/** Of a command that works in one project. */
export function withProject(command: Command): Command {
  return withWorkspace(command.option("-p, --project <project>", "slug or id of the project (default: the only one)"));
}

export function withScope(command: Command): Command {
  return withWorkspace(command).option(
    "-p, --project <project>",
    "slug or id of a project: its value wins over the workspace's",
  );
}

/** Whose secrets or variables: those of the workspace, or of one project of it. `name` is for people. */
interface ValueScope {
  readonly scope: { readonly workspaceId: string; readonly project_id?: string };
  readonly name: string;
}

/** One page holds all secrets or variables that a workspace may have. */
export const ALL_VALUES = 10_000;

/** The workspace, unless a project is named. */
export async function chooseScope(api: Client, options: ScopeOptions): Promise<ValueScope> {
  if (options.project === undefined) {
    const workspace = await chooseWorkspace(api, options.workspace);
    const name = `the workspace ${plainText(workspace.workspace_slug)}`;
    return { scope: { workspaceId: workspace.workspace_id }, name };
  }
  const project = await chooseProject(api, options);
  const scope = { workspaceId: project.workspace_id, project_id: project.id };
  return { scope, name: `the project ${plainText(project.slug)}` };
}
