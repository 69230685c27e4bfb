import type { Client } from "@shipfox/client";
import { ClientError } from "@shipfox/client/client-error";
import { ABILITY_NAMES, type Ability, type AccessToken } from "@shipfox/shared/api/access-tokens";
import { type Command, Option } from "commander";
import { chooseWorkspace } from "../choose.ts";
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
import { askSecret, readSecretFromStdin } from "../prompts.ts";
import { readRows } from "../paging.ts";
import { plainText } from "../render/plain-text.ts";
import { renderTable } from "../render/table.ts";
import { age, utcDay } from "../render/time.ts";
import { openSession } from "../session.ts";
import { parseTtl } from "../ttl.ts";

/** What a token may do when nothing is said: look. */
const DEFAULT_ABILITIES: Ability[] = ["projects:read", "runs:read"];
const AGAIN_WITH_PASSWORD = "shipfox tokens create … --password-stdin < password.txt";
/** More than anybody may have. */
const MAX_TOKENS = 1_000;

interface CreateOptions extends JsonOption {
  workspace?: string;
  ability?: Ability[];
  ttl?: number;
  passwordStdin?: boolean;
}

export function registerTokens(program: Command, context: CommandContext): void {
  const tokens = program.command("tokens").description("make, list and revoke personal access tokens");
  withExamples(tokens, "shipfox tokens create ci --ability runs:start --ttl 30d", "shipfox tokens list");
  finishCommand(
    tokens
      .command("create")
      .description("make a token for a program; it is shown once")
      .argument("<name>", "what it is for")
      .option("-w, --workspace <workspace>", "slug or id of the one workspace it counts in (default: the only one)")
      .addOption(
        new Option("-a, --ability <ability...>", `what it may do (default: ${DEFAULT_ABILITIES.join(" ")})`).choices(
          ABILITY_NAMES,
        ),
      )
      .option("--ttl <duration>", "how long it lives, as 90s, 15m, 24h or 30d (default: 90d)", parseTtl)
      .option("--password-stdin", "read your password from stdin, which sensitive abilities need")
      .action((name: string, options: CreateOptions) => createToken(context, name, options)),
    "shipfox tokens create dashboard",
    "shipfox tokens create ci --ability runs:read runs:start --ttl 30d",
    "shipfox tokens create deploy --ability secrets:write --password-stdin < password.txt",
  );
  finishCommand(
    tokens
      .command("list")
      .description("list your tokens")
      .action((options: JsonOption) => listTokens(context, options)),
    "shipfox tokens list",
  );
  finishCommand(
    withYesOnTerminal(tokens.command("revoke").description("revoke a token, at once"))
      .argument("<token>", "name, id or the first characters of the token")
      .action((reference: string, options: ConfirmOptions) => revokeToken(context, reference, options)),
    "shipfox tokens revoke ci",
  );
}

async function createToken(context: CommandContext, name: string, options: CreateOptions): Promise<void> {
  const { api, url } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const current_password = options.passwordStdin ? await readSecretFromStdin(context.terminal) : undefined;
  if (current_password === "") throw usageError("The password on stdin is empty.", AGAIN_WITH_PASSWORD);
  const body = {
    name,
    workspace_id: workspace.workspace_id,
    abilities: options.ability ?? DEFAULT_ABILITIES,
    ...(options.ttl === undefined ? {} : { ttl_seconds: options.ttl }),
    ...(current_password === undefined ? {} : { current_password }),
  };
  const token = await mint(context, api, body);
  await printResult(context, options, {
    document: token,
    text: () =>
      [
        token.raw_token,
        "",
        context.terminal.colors.dim(
          `Shown only now. It counts in ${plainText(workspace.workspace_name)}, may ${token.abilities.join(", ")}, until ${token.expires_at}.`,
        ),
        nextLine(context, `shipfox login --url ${url} --token-stdin < token.txt`),
      ].join("\n"),
  });
}

async function mint(context: CommandContext, api: Client, body: Parameters<Client["accessTokens"]["create"]>[0]) {
  try {
    return await api.accessTokens.create(body);
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== "password-required") throw error;
    if (!context.terminal.interactive) {
      throw usageError(error.message, AGAIN_WITH_PASSWORD);
    }
    const current_password = await askSecret(context.terminal, "Your password");
    return await api.accessTokens.create({ ...body, current_password });
  }
}

async function allTokens(api: Client): Promise<AccessToken[]> {
  const { rows } = await readRows(MAX_TOKENS, async (page) => {
    const reply = await api.accessTokens.list(page);
    return { rows: reply.tokens, next: reply.next_cursor };
  });
  return rows;
}

async function listTokens(context: CommandContext, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  const tokens = await allTokens(api);
  const { terminal } = context;
  await printResult(context, options, {
    document: { tokens },
    text: () =>
      tokens.length === 0
        ? `You have no access tokens.\n${nextLine(context, "shipfox tokens create ci")}`
        : renderTable(
            terminal,
            [
              { head: "NAME", text: (token) => token.name },
              { head: "PREFIX", text: (token) => token.prefix },
              { head: "ABILITIES", text: (token) => token.abilities.join(","), flex: true },
              { head: "EXPIRES", text: (token) => (token.expires_at === null ? "never" : utcDay(token.expires_at)) },
              { head: "USED", text: (token) => (token.last_used_at === null ? "-" : age(token.last_used_at)) },
              { head: "ID", text: (token) => token.id, style: (text) => terminal.colors.dim(text), expendable: true },
            ],
            tokens,
          ),
  });
}

async function revokeToken(context: CommandContext, reference: string, options: ConfirmOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const tokens = await allTokens(api);
  const matches = tokens.filter(({ id, name, prefix }) => [id, name, prefix].includes(reference));
  const [token] = matches;
  if (!token) throw usageError(`You have no access token ${plainText(reference)}.`, "shipfox tokens list");
  if (matches.length > 1) {
    throw usageError(
      `You have ${matches.length} access tokens ${plainText(reference)}: name one by its id.`,
      "shipfox tokens list",
    );
  }
  await confirmOnTerminal(context, options, `Revoke the access token ${plainText(token.name)}?`);
  await api.accessTokens.revoke({ tokenId: token.id });
  await printResult(context, options, {
    document: { id: token.id, revoked: true },
    text: () => `✓ ${plainText(token.name)} is revoked.`,
  });
}
