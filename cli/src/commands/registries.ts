import type { StoredRegistryCredential } from "@shipfox/shared/api/registries";
import type { Command } from "commander";
import { type WorkspaceOption, withWorkspace } from "../choose-scope.ts";
import { chooseProject, chooseRegistryCredential, chooseWorkspace, quoteWord } from "../choose.ts";
import { usageError } from "../cli-error.ts";
import { type CommandContext, finishCommand, nextLine, printResult, withExamples } from "../command-context.ts";
import { askSecret, readSecretFromStdin } from "../prompts.ts";
import { plainText } from "../render/plain-text.ts";
import { renderTable } from "../render/table.ts";
import { age } from "../render/time.ts";
import { openSession } from "../session.ts";

interface AddOptions extends WorkspaceOption {
  username: string;
  passwordStdin?: boolean;
  project?: string[];
}

export function registerRegistries(program: Command, context: CommandContext): void {
  const registries = withExamples(
    program.command("registries").description("credentials for the registries of private images"),
    "shipfox registries add registry.example --username ci --password-stdin < password.txt",
    "shipfox registries list",
  );
  finishCommand(
    withWorkspace(registries.command("add").description("store a credential for the images of one registry"))
      .argument("<host>", "host of the registry, with its port when it has one; docker.io is Docker Hub")
      .requiredOption("--username <name>", "user name at the registry")
      .option("--password-stdin", "read the password or access token from stdin")
      .option("-p, --project <projects...>", "slugs or ids of the projects that may use it (default: all)")
      .action((host: string, options: AddOptions) => addCredential(context, host, options)),
    "shipfox registries add registry.example --username ci",
    "shipfox registries add docker.io --username ci --project shop --password-stdin < token.txt",
  );
  finishCommand(
    withWorkspace(
      registries.command("list").description("list the credentials of a workspace, without passwords"),
    ).action((options: WorkspaceOption) => listCredentials(context, options)),
    "shipfox registries list",
  );
  finishCommand(
    withWorkspace(registries.command("remove").description("remove a credential"))
      .argument("<credential>", "host or id")
      .action((reference: string, options: WorkspaceOption) => removeCredential(context, reference, options)),
    "shipfox registries remove registry.example",
  );
}

async function addCredential(context: CommandContext, host: string, options: AddOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const projectIds: string[] = [];
  for (const reference of options.project ?? []) {
    projectIds.push((await chooseProject(api, { workspace: workspace.workspace_id, project: reference })).id);
  }
  const password = await readPassword(context, host, options);
  const credential = await api.registries.create({
    workspaceId: workspace.workspace_id,
    host,
    username: options.username,
    password,
    ...(projectIds.length === 0 ? {} : { project_ids: projectIds }),
  });
  await printResult(context, options, {
    document: credential,
    text: () => {
      const whose = projectIds.length === 0 ? "all projects" : `${projectIds.length} project(s)`;
      return [
        `✓ Jobs of ${whose} of ${plainText(workspace.workspace_name)} may use the images of ${plainText(credential.host)}.`,
        nextLine(context, "shipfox registries list"),
      ].join("\n");
    },
  });
}

async function readPassword({ terminal }: CommandContext, host: string, options: AddOptions): Promise<string> {
  const again = `shipfox registries add ${quoteWord(host)} --username ${quoteWord(options.username)} --password-stdin < password.txt`;
  if (!options.passwordStdin && !terminal.interactive) throw usageError("The password is missing.", again);
  const password = options.passwordStdin
    ? await readSecretFromStdin(terminal)
    : await askSecret(terminal, `Password or access token of ${plainText(options.username)} at ${plainText(host)}`);
  if (password === "") throw usageError("The password on stdin is empty.", again);
  return password;
}

async function listCredentials(context: CommandContext, options: WorkspaceOption): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const { registry_credentials: credentials } = await api.registries.list({ workspaceId: workspace.workspace_id });
  await printResult(context, options, {
    document: { registry_credentials: credentials },
    text: () =>
      credentials.length === 0
        ? `${plainText(workspace.workspace_name)} has no registry credential.`
        : credentialTable(context, credentials),
  });
}

function credentialTable({ terminal }: CommandContext, credentials: readonly StoredRegistryCredential[]): string {
  return renderTable(
    terminal,
    [
      { head: "HOST", text: (credential) => credential.host },
      { head: "USERNAME", text: (credential) => credential.username, flex: true },
      { head: "PROJECTS", text: ({ project_ids }) => (project_ids === null ? "all" : String(project_ids.length)) },
      { head: "ADDED", text: (credential) => age(credential.created_at) },
      { head: "ID", text: (credential) => credential.id, style: (text) => terminal.colors.dim(text), expendable: true },
    ],
    credentials,
  );
}

async function removeCredential(context: CommandContext, reference: string, options: WorkspaceOption): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id } = await chooseWorkspace(api, options.workspace);
  const chosen = chooseRegistryCredential(
    (await api.registries.list({ workspaceId: workspace_id })).registry_credentials,
    reference,
  );
  await api.registries.delete({ workspaceId: workspace_id, credentialId: chosen.id });
  await printResult(context, options, {
    document: { removed: chosen },
    text: () => `✓ The credential of ${plainText(chosen.username)} at ${plainText(chosen.host)} is removed.`,
  });
}
