import type { Command } from "commander";
import type { ApiClient, ValueScope } from "./api-client.ts";
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

export function withScope(command: Command): Command {
  return withWorkspace(command).option(
    "-p, --project <project>",
    "slug or id of a project: its value wins over the workspace's",
  );
}

/** The workspace, unless a project is named. `name` is for people. */
export async function chooseScope(api: ApiClient, options: ScopeOptions): Promise<ValueScope & { name: string }> {
  if (options.project === undefined) {
    const workspace = await chooseWorkspace(api, options.workspace);
    const name = `the workspace ${plainText(workspace.workspace_slug)}`;
    return { workspaceId: workspace.workspace_id, projectId: null, name };
  }
  const project = await chooseProject(api, options);
  return { workspaceId: project.workspace_id, projectId: project.id, name: `the project ${plainText(project.slug)}` };
}
