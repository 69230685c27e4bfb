import type { RegistrationToken } from "@shipfox/shared/api/runners";
import type { Command } from "commander";
import { type WorkspaceOption, withWorkspace } from "../choose-scope.ts";
import { chooseWorkspace } from "../choose.ts";
import { usageError } from "../cli-error.ts";
import { type CommandContext, finishCommand, nextLine, printResult, withExamples } from "../command-context.ts";
import { plainText } from "../render/plain-text.ts";
import { renderTable } from "../render/table.ts";
import { utcTime } from "../render/time.ts";
import { openSession } from "../session.ts";

interface RevokeOptions extends WorkspaceOption {
  cascade?: true;
}

/** The tokens that `runners add` makes. */
export function registerRegistrationTokens(runners: Command, context: CommandContext): void {
  const tokens = withExamples(
    runners.command("tokens").description("list and revoke the tokens with which runners register"),
    "shipfox runners tokens list",
    "shipfox runners tokens revoke build-hosts",
  );
  finishCommand(
    withWorkspace(tokens.command("list").description("list the tokens that can still be used, newest first")).action(
      (options: WorkspaceOption) => listTokens(context, options),
    ),
    "shipfox runners tokens list",
    "shipfox runners tokens list --json",
  );
  finishCommand(
    withWorkspace(tokens.command("revoke").description("let no more runners register with a token"))
      .argument("<token>", "name, id or the first characters of the token, as the list has them")
      .option("--cascade", "also revoke the runners that registered with it; their jobs run again elsewhere")
      .action((reference: string, options: RevokeOptions) => revokeToken(context, reference, options)),
    "shipfox runners tokens revoke build-hosts",
    "shipfox runners tokens revoke build-hosts --cascade",
  );
}

async function listTokens(context: CommandContext, options: WorkspaceOption): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const { manual_registration_tokens: tokens } = await api.runners.tokens({ workspaceId: workspace.workspace_id });
  await printResult(context, options, {
    document: { manual_registration_tokens: tokens },
    text: () =>
      tokens.length === 0
        ? `${plainText(workspace.workspace_name)} has no registration token that can be used.\n${nextLine(context, "shipfox runners add")}`
        : tokenTable(context, tokens),
  });
}

function tokenTable({ terminal }: CommandContext, tokens: readonly RegistrationToken[]): string {
  return renderTable(
    terminal,
    [
      { head: "NAME", text: (token) => token.name ?? "-", flex: true },
      { head: "PREFIX", text: (token) => token.prefix },
      {
        head: "USES",
        text: (token) => (token.max_uses === null ? `${token.uses}` : `${token.uses} of ${token.max_uses}`),
      },
      { head: "EXPIRES (UTC)", text: (token) => (token.expires_at === null ? "never" : utcTime(token.expires_at)) },
      { head: "ID", text: (token) => token.id, style: (text) => terminal.colors.dim(text), expendable: true },
    ],
    tokens,
  );
}

async function revokeToken(context: CommandContext, reference: string, options: RevokeOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id } = await chooseWorkspace(api, options.workspace);
  const usable = await api.runners.tokens({ workspaceId: workspace_id });
  const { id } = chooseToken(usable.manual_registration_tokens, reference);
  const cascade = options.cascade ? "true" : "false";
  const token = await api.runners.revokeToken({ workspaceId: workspace_id, tokenId: id, cascade });
  await printResult(context, options, {
    document: token,
    text: () => {
      const runners = options.cascade ? "those that did are revoked" : "those that did go on";
      return `✓ No more runners register with ${plainText(token.name ?? token.prefix)}; ${runners}.`;
    },
  });
}

function chooseToken(tokens: readonly RegistrationToken[], reference: string): RegistrationToken {
  const matches = tokens.filter(({ id, name, prefix }) => [id, name, prefix].includes(reference));
  const [token] = matches;
  if (!token) {
    throw usageError(
      `No registration token that can be used is called ${plainText(reference)}.`,
      "shipfox runners tokens list",
    );
  }
  if (matches.length > 1) {
    throw usageError(
      `${matches.length} registration tokens are called ${plainText(reference)}: name one by its id.`,
      "shipfox runners tokens list",
    );
  }
  return token;
}
