import { type AdminUser, adminRoleBodySchema, adminUsersQuerySchema } from "@shipfox/shared/api/admin";
import { Argument, type Command, Option } from "commander";
import {
  type CommandContext,
  finishCommand,
  type JsonOption,
  nextLine,
  printResult,
  withExamples,
} from "../../command-context.ts";
import { confirm } from "../../confirm.ts";
import { type PagingOptions, readPages, tellMore, withPaging } from "../../paging.ts";
import { renderFacts } from "../../render/facts.ts";
import { plainText } from "../../render/plain-text.ts";
import { inStatusColor } from "../../render/status.ts";
import { renderTable } from "../../render/table.ts";
import { age } from "../../render/time.ts";
import { openSession } from "../../session.ts";
import { chooseUser } from "./choose.ts";
import { asChange, type ChangeOptions, type ReasonOption, requireReason, withReason } from "./reason.ts";

const STATUSES = adminUsersQuerySchema.shape.status.unwrap().options;
const NO_ROLE = "none" as const;
const ROLES = [...adminRoleBodySchema.shape.role.unwrap().options, NO_ROLE];
type WantedRole = (typeof ROLES)[number];
const USER = "e-mail address or id";

interface ListOptions extends PagingOptions {
  search?: string;
  status?: AdminUser["status"];
}

export function registerUsers(admin: Command, context: CommandContext): void {
  const users = withExamples(
    admin.command("users").description("the accounts of the server"),
    "shipfox admin users list",
    'shipfox admin users suspend bob@example.com --reason "has left"',
  );
  finishCommand(
    withPaging(users.command("list").description("list accounts, newest first"))
      .option("--search <text>", "only with this in the name or address")
      .addOption(new Option("--status <status>", "only in this state").choices([...STATUSES]))
      .action((options: ListOptions) => listUsers(context, options)),
    "shipfox admin users list",
    "shipfox admin users list --search example.com --status suspended --all",
  );
  finishCommand(
    users
      .command("show")
      .description("show one account")
      .argument("<user>", USER)
      .action((reference: string, options: JsonOption) => showUser(context, reference, options)),
    "shipfox admin users show bob@example.com",
  );
  finishCommand(
    asChange(users.command("suspend").description("let a user in no more; all he has open ends"))
      .argument("<user>", USER)
      .action((reference: string, options: ChangeOptions) => suspend(context, reference, options)),
    'shipfox admin users suspend bob@example.com --reason "has left"',
    'shipfox admin users suspend bob@example.com --reason "has left" --yes',
  );
  finishCommand(
    withReason(users.command("reactivate").description("let a suspended user in again"))
      .argument("<user>", USER)
      .action((reference: string, options: JsonOption & ReasonOption) => reactivate(context, reference, options)),
    "shipfox admin users reactivate bob@example.com",
  );
  finishCommand(
    asChange(users.command("revoke-sessions").description("end all sessions of a user; he must sign in again"))
      .argument("<user>", USER)
      .action((reference: string, options: ChangeOptions) => revokeSessions(context, reference, options)),
    'shipfox admin users revoke-sessions bob@example.com --reason "lost laptop"',
  );
  finishCommand(
    asChange(users.command("role").description("make a user an administrator of the server, or none"))
      .argument("<user>", USER)
      .addArgument(new Argument("<role>", `what he may do for the server; ${NO_ROLE}: nothing`).choices(ROLES))
      .action((reference: string, role: WantedRole, options: ChangeOptions) =>
        changeRole(context, reference, role, options),
      ),
    'shipfox admin users role bob@example.com admin-operator --reason "helps on Mondays"',
    `shipfox admin users role bob@example.com ${NO_ROLE} --reason "has left" --yes`,
  );
  finishCommand(
    users
      .command("reset-link")
      .description("make the link with which a user sets a new password")
      .argument("<email>", "e-mail address of the account")
      .action((email: string, options: JsonOption) => makeResetLink(context, email, options)),
    "shipfox admin users reset-link ada@example.com",
  );
}

async function listUsers(context: CommandContext, options: ListOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { search, status } = options;
  const { rows: users, next } = await readPages(options, async (page) => {
    const reply = await api.admin.users({ search, status, ...page });
    return { rows: reply.users, next: reply.next_cursor };
  });
  await printResult(context, options, {
    document: { users, next_cursor: next },
    text: () => (users.length === 0 ? "The server has no such user." : userTable(context, users)),
  });
  tellMore(context, options, next);
}

function userTable({ terminal }: CommandContext, users: readonly AdminUser[]): string {
  return renderTable(
    terminal,
    [
      { head: "E-MAIL", text: (user) => user.email },
      { head: "NAME", text: (user) => user.name ?? "", flex: true },
      { head: "STATUS", text: (user) => user.status, style: (text) => inStatusColor(text, text, terminal.colors) },
      { head: "ADMINISTRATOR", text: (user) => user.admin_role ?? "-" },
      { head: "CREATED", text: (user) => age(user.created_at) },
      { head: "ID", text: (user) => user.id, style: (text) => terminal.colors.dim(text), expendable: true },
    ],
    users,
  );
}

async function showUser(context: CommandContext, reference: string, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  const user = await chooseUser(api, reference);
  await printResult(context, options, {
    document: user,
    text: () =>
      renderFacts(context.terminal, [
        ["e-mail", user.email],
        ["verified", user.email_verified_at ?? "no"],
        ["name", user.name ?? "-"],
        ["status", user.status],
        ["administrator", user.admin_role ?? "no"],
        ["created", user.created_at],
        ["changed", user.updated_at],
        ["id", user.id],
      ]),
  });
}

async function suspend(context: CommandContext, reference: string, options: ChangeOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { id, email } = await chooseUser(api, reference);
  const reason = await requireReason(context, options);
  await confirm(context, options, `Suspend ${plainText(email)}?`);
  const user = await api.admin.suspendUser({ userId: id, reason });
  await printResult(context, options, {
    document: user,
    text: () =>
      `✓ ${plainText(email)} is suspended: sessions, streams and access tokens have ended.\n` +
      nextLine(context, `shipfox admin users reactivate ${plainText(email)}`),
  });
}

async function reactivate(
  context: CommandContext,
  reference: string,
  { reason, ...options }: JsonOption & ReasonOption,
): Promise<void> {
  const { api } = await openSession(context.env);
  const { id, email } = await chooseUser(api, reference);
  const user = await api.admin.reactivateUser({ userId: id, reason });
  await printResult(context, options, { document: user, text: () => `✓ ${plainText(email)} may sign in again.` });
}

async function revokeSessions(context: CommandContext, reference: string, options: ChangeOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { id, email } = await chooseUser(api, reference);
  await confirm(context, options, `End all sessions of ${plainText(email)}?`);
  const user = await api.admin.revokeSessions({ userId: id, reason: options.reason });
  await printResult(context, options, {
    document: user,
    text: () => `✓ ${user.sessions_revoked} session(s) of ${plainText(email)} have ended.`,
  });
}

async function changeRole(
  context: CommandContext,
  reference: string,
  wanted: WantedRole,
  options: ChangeOptions,
): Promise<void> {
  const { api } = await openSession(context.env);
  const { id, email } = await chooseUser(api, reference);
  const role = wanted === NO_ROLE ? null : wanted;
  const becomes = role === null ? "no administrator of the server any more" : role;
  const reason = await requireReason(context, options);
  await confirm(context, options, `Make ${plainText(email)} ${becomes}?`);
  const user = await api.admin.changeAdminRole({ userId: id, role, reason });
  await printResult(context, options, { document: user, text: () => `✓ ${plainText(email)} is ${becomes}.` });
}

async function makeResetLink(context: CommandContext, email: string, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  const link = await api.admin.createResetLink({ email });
  await printResult(context, options, {
    document: link,
    text: () =>
      link.reset_url === null
        ? `✓ A link was mailed to ${plainText(email)}; it is good until ${link.expires_at}.`
        : `${link.reset_url}\n\n${context.terminal.colors.dim(`For ${plainText(email)} alone, once, until ${link.expires_at}: shipfox password set`)}`,
  });
}
