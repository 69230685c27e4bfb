import type { Client } from "@shipfox/client";
import { type CreatedInvitation, type Invitation, type Role, ROLES } from "@shipfox/shared/api/workspaces";
import type { Command } from "commander";
import { type WorkspaceOption, withWorkspace } from "../choose-scope.ts";
import { chooseMember, chooseWorkspace } from "../choose.ts";
import { usageError } from "../cli-error.ts";
import {
  type CommandContext,
  finishCommand,
  type JsonOption,
  nextLine,
  printResult,
  withExamples,
} from "../command-context.ts";
import { type ConfirmOptions, confirmOnTerminal, withYesOnTerminal } from "../confirm.ts";
import { tokenOfInvitation } from "../invitation-link.ts";
import { askSecret, readSecretFromStdin } from "../prompts.ts";
import { plainText } from "../render/plain-text.ts";
import { renderTable } from "../render/table.ts";
import { utcDay } from "../render/time.ts";
import { openSession } from "../session.ts";

interface InviteOptions extends WorkspaceOption {
  role?: string;
}

export function registerMembers(program: Command, context: CommandContext): void {
  const members = program.command("members").description("who is in a workspace: list, invite, change and remove");
  withExamples(members, "shipfox members list", "shipfox members invite bob@example.com --role viewer");
  finishCommand(
    withWorkspace(members.command("list").description("members and open invitations")).action(
      (options: WorkspaceOption) => listPeople(context, options),
    ),
    "shipfox members list",
  );
  finishCommand(
    withWorkspace(members.command("invite").description("invite somebody by e-mail address"))
      .argument("<email>", "the address")
      .option("-r, --role <role>", `one of ${ROLES.join(", ")} (default: maintainer)`)
      .action((email: string, options: InviteOptions) => invite(context, email, options)),
    "shipfox members invite bob@example.com",
    "shipfox members invite boss@example.com --role viewer",
  );
  finishCommand(
    withWorkspace(members.command("resend").description("make a new link for an open invitation; the former one ends"))
      .argument("<email>", "the address that was invited")
      .action((email: string, options: WorkspaceOption) => resend(context, email, options)),
    "shipfox members resend bob@example.com",
  );
  finishCommand(
    withWorkspace(members.command("withdraw").description("withdraw an open invitation"))
      .argument("<email>", "the address that was invited")
      .action((email: string, options: WorkspaceOption) => withdraw(context, email, options)),
    "shipfox members withdraw bob@example.com",
  );
  finishCommand(
    members
      .command("accept")
      .description("become a member: asks for the link of an invitation, or reads it from stdin")
      .action((options: JsonOption) => accept(context, options)),
    "shipfox members accept",
    "shipfox members accept < link.txt",
  );
  finishCommand(
    withWorkspace(members.command("role").description("give a member another role"))
      .argument("<email>", "the member")
      .argument("<role>", `one of ${ROLES.join(", ")}`)
      .action((email: string, role: string, options: WorkspaceOption) => changeRole(context, email, role, options)),
    "shipfox members role bob@example.com admin",
  );
  finishCommand(
    withYesOnTerminal(
      withWorkspace(members.command("remove").description("remove a member, with his access tokens for the workspace")),
    )
      .argument("<email>", "the member")
      .action((email: string, options: WorkspaceOption & ConfirmOptions) => remove(context, email, options)),
    "shipfox members remove bob@example.com",
  );
}

async function open(context: CommandContext, options: WorkspaceOption) {
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  return { api, workspaceId: workspace.workspace_id, name: plainText(workspace.workspace_name) };
}

/** Only who manages members sees invitations. */
async function openInvitations(api: Client, workspaceId: string, mine: Role | undefined): Promise<Invitation[]> {
  if (mine !== "owner" && mine !== "admin") return [];
  return (await api.invitations.list({ workspaceId })).invitations;
}

async function listPeople(context: CommandContext, options: WorkspaceOption): Promise<void> {
  const { api, workspaceId } = await open(context, options);
  const { terminal } = context;
  const [{ members }, { user }] = await Promise.all([api.members.list({ workspaceId }), api.auth.me()]);
  const mine = members.find((member) => member.user_id === user.id)?.role;
  const invitations = await openInvitations(api, workspaceId, mine);
  const rows = [
    ...members.map((member) => ({
      email: member.user_email,
      name: member.user_name ?? "",
      role: member.role,
      state: `member since ${utcDay(member.created_at)}`,
    })),
    ...invitations.map(({ email, role, expires_at }) => ({
      email,
      name: "",
      role,
      state: `invited until ${utcDay(expires_at)}`,
    })),
  ];
  await printResult(context, options, {
    document: { members, invitations },
    text: () =>
      renderTable(
        terminal,
        [
          { head: "E-MAIL", text: (row) => row.email },
          { head: "NAME", text: (row) => row.name, flex: true },
          { head: "ROLE", text: (row) => row.role },
          { head: "STATE", text: (row) => row.state },
        ],
        rows,
      ),
  });
}

async function invite(context: CommandContext, email: string, options: InviteOptions): Promise<void> {
  const role = options.role === undefined ? undefined : requireRole(options.role);
  const { api, workspaceId, name } = await open(context, options);
  const invitation = await api.invitations.create({ workspaceId, email, role });
  await printInvitation(context, options, invitation, name);
}

async function resend(context: CommandContext, email: string, options: WorkspaceOption): Promise<void> {
  const { api, workspaceId, name } = await open(context, options);
  const { id } = await chooseInvitation(api, workspaceId, email);
  await printInvitation(context, options, await api.invitations.resend({ workspaceId, invitationId: id }), name);
}

async function printInvitation(
  context: CommandContext,
  options: WorkspaceOption,
  invitation: CreatedInvitation,
  workspace: string,
): Promise<void> {
  await printResult(context, options, {
    document: invitation,
    text: () =>
      invitation.link === null
        ? `${plainText(invitation.email)} gets a mail with a link to ${workspace}.`
        : [
            invitation.link,
            "",
            context.terminal.colors.dim(
              `Shown only now. Give it to ${plainText(invitation.email)}: it works once, until ${invitation.expires_at}.`,
            ),
          ].join("\n"),
  });
}

async function chooseInvitation(api: Client, workspaceId: string, email: string): Promise<Invitation> {
  const { invitations } = await api.invitations.list({ workspaceId });
  const invitation = invitations.find((candidate) => candidate.email === email.toLowerCase());
  if (!invitation) throw usageError(`${plainText(email)} has no open invitation.`, "shipfox members list");
  return invitation;
}

async function accept(context: CommandContext, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  const { terminal } = context;
  const link = terminal.interactive
    ? await askSecret(terminal, "The link of the invitation")
    : await readSecretFromStdin(terminal);
  const accepted = await api.invitations.accept({ token: tokenOfInvitation(link) });
  await printResult(context, options, {
    document: accepted,
    text: () =>
      `${accepted.already_member ? "You were a member already." : "You are a member now."}\n${nextLine(context, "shipfox workspaces list")}`,
  });
}

async function withdraw(context: CommandContext, email: string, options: WorkspaceOption): Promise<void> {
  const { api, workspaceId } = await open(context, options);
  const invitation = await chooseInvitation(api, workspaceId, email);
  await api.invitations.withdraw({ workspaceId, invitationId: invitation.id });
  await printResult(context, options, {
    document: { withdrawn: invitation.id },
    text: () => `The invitation of ${plainText(invitation.email)} is withdrawn; its link is worth nothing.`,
  });
}

async function changeRole(
  context: CommandContext,
  email: string,
  role: string,
  options: WorkspaceOption,
): Promise<void> {
  const wanted = requireRole(role);
  const { api, workspaceId } = await open(context, options);
  const { user_id } = await chooseMember(api, workspaceId, email);
  const member = await api.members.update({ workspaceId, userId: user_id, role: wanted });
  await printResult(context, options, {
    document: member,
    text: () => `✓ ${plainText(member.user_email)} is ${member.role} now.`,
  });
}

async function remove(
  context: CommandContext,
  email: string,
  options: WorkspaceOption & ConfirmOptions,
): Promise<void> {
  const { api, workspaceId, name } = await open(context, options);
  const member = await chooseMember(api, workspaceId, email);
  await confirmOnTerminal(context, options, `Remove ${plainText(member.user_email)} from ${name}?`);
  await api.members.remove({ workspaceId, userId: member.user_id });
  await printResult(context, options, {
    document: { removed: member.user_id },
    text: () =>
      `${plainText(member.user_email)} is no member of ${name} any more.\n${nextLine(context, "shipfox members list")}`,
  });
}

function requireRole(text: string): Role {
  const role = ROLES.find((known) => known === text);
  if (!role)
    throw usageError(
      `There is no role ${plainText(text)}: it is one of ${ROLES.join(", ")}.`,
      "shipfox members --help",
    );
  return role;
}
