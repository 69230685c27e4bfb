import { resolve } from "node:path";
import type { ProvisionerToken } from "@shipfox/shared/api/provisioners";
import type { Command } from "commander";
import { type WorkspaceOption, withWorkspace } from "../../choose-scope.ts";
import { chooseWorkspace, quoteWord } from "../../choose.ts";
import { usageError } from "../../cli-error.ts";
import { type CommandContext, finishCommand, nextLine, printResult, withExamples } from "../../command-context.ts";
import { type ConfirmOptions, confirmOnTerminal, withYesOnTerminal } from "../../confirm.ts";
import { writeNewFile } from "../../new-file.ts";
import { plainText } from "../../render/plain-text.ts";
import { renderTable } from "../../render/table.ts";
import { age, utcTime } from "../../render/time.ts";
import { openSession } from "../../session.ts";
import { parseTtl } from "../../ttl.ts";

interface CreateOptions extends WorkspaceOption {
  ttl?: number;
  tokenFile?: string;
}

/** The tokens with which provisioners sign in. */
export function registerProvisionerTokens(provisioners: Command, context: CommandContext): void {
  const tokens = withExamples(
    provisioners.command("tokens").description("make, list and revoke the tokens with which provisioners sign in"),
    "shipfox provisioners tokens create aws --token-file token.txt",
    "shipfox provisioners tokens list",
  );
  finishCommand(
    withWorkspace(tokens.command("create").description("make a token for one provisioner; it is shown once"))
      .argument("<name>", "what the provisioner is called")
      .option("--ttl <duration>", "how long it lives, as 24h or 30d (default: until it is revoked)", parseTtl)
      .option("--token-file <file>", "write the token to this new file, which only you may read, and print it nowhere")
      .action((name: string, options: CreateOptions) => createToken(context, name, options)),
    "shipfox provisioners tokens create aws",
    "shipfox provisioners tokens create aws --ttl 30d --token-file token.txt",
  );
  finishCommand(
    withWorkspace(tokens.command("list").description("list provisioner tokens, revoked ones too, newest first")).action(
      (options: WorkspaceOption) => listTokens(context, options),
    ),
    "shipfox provisioners tokens list",
    "shipfox provisioners tokens list --json",
  );
  finishCommand(
    withYesOnTerminal(
      withWorkspace(tokens.command("revoke").description("let no provisioner work with a token any more")),
    )
      .argument("<token>", "name, id or the first characters of the token, as the list has them")
      .action((reference: string, options: WorkspaceOption & ConfirmOptions) =>
        revokeToken(context, reference, options),
      ),
    "shipfox provisioners tokens revoke aws",
  );
}

async function createToken(context: CommandContext, name: string, options: CreateOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id: workspaceId } = await chooseWorkspace(api, options.workspace);
  const life = options.ttl === undefined ? {} : { ttl_seconds: options.ttl };
  const create = () => api.provisioners.createToken({ workspaceId, name, ...life });
  if (options.tokenFile === undefined) {
    const token = await create();
    const until = token.expires_at === null ? "until it is revoked" : `until ${token.expires_at}`;
    await printResult(context, options, {
      document: token,
      text: () =>
        [
          token.raw_token,
          "",
          context.terminal.colors.dim(`Shown only now. It signs one provisioner in ${until}.`),
          ...afterCreation(context, name),
        ].join("\n"),
    });
    return;
  }
  const file = resolve(context.cwd, options.tokenFile);
  let made: ProvisionerToken | null = null;
  await writeNewFile(file, async () => {
    const { raw_token: secret, ...token } = await create();
    made = token;
    return secret;
  });
  await printResult(context, options, {
    document: made,
    text: () => [`✓ The token is in ${plainText(file)}.`, ...afterCreation(context, name)].join("\n"),
  });
}

function afterCreation(context: CommandContext, name: string): string[] {
  return [
    nextLine(context, "once the provisioner runs: shipfox provisioners list"),
    nextLine(context, `to revoke the token: shipfox provisioners tokens revoke ${quoteWord(name)}`),
  ];
}

async function listTokens(context: CommandContext, options: WorkspaceOption): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const { tokens } = await api.provisioners.tokens({ workspaceId: workspace.workspace_id });
  const { terminal } = context;
  await printResult(context, options, {
    document: { tokens },
    text: () =>
      tokens.length === 0
        ? `${plainText(workspace.workspace_name)} has no provisioner token.\n${nextLine(context, "shipfox provisioners tokens create <name>")}`
        : renderTable(
            terminal,
            [
              { head: "NAME", text: (token) => token.name ?? "-", flex: true },
              { head: "PREFIX", text: (token) => token.prefix },
              { head: "STATE", text: stateOf },
              { head: "EXPIRES (UTC)", text: ({ expires_at: at }) => (at === null ? "never" : utcTime(at)) },
              { head: "SEEN", text: (token) => age(token.last_seen_at) },
              { head: "ID", text: (token) => token.id, style: (text) => terminal.colors.dim(text), expendable: true },
            ],
            tokens,
          ),
  });
}

function stateOf({ revoked_at: revoked, expires_at: expires }: ProvisionerToken): string {
  if (revoked !== null) return "revoked";
  return expires !== null && Date.parse(expires) <= Date.now() ? "expired" : "good";
}

async function revokeToken(
  context: CommandContext,
  reference: string,
  options: WorkspaceOption & ConfirmOptions,
): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id: workspaceId } = await chooseWorkspace(api, options.workspace);
  const { tokens } = await api.provisioners.tokens({ workspaceId });
  const { id, name, prefix } = chooseToken(tokens, reference);
  const called = plainText(name ?? prefix);
  await confirmOnTerminal(context, options, `Revoke the provisioner token ${called}?`);
  const token = await api.provisioners.revokeToken({ workspaceId, tokenId: id });
  await printResult(context, options, {
    document: token,
    text: () =>
      [
        `✓ ${called} is revoked: nothing more is started with it, and instances that run go on.`,
        nextLine(context, "to see them: shipfox provisioners instances list --open"),
      ].join("\n"),
  });
}

/** One that is not revoked is meant before one that is. Throws a usage error that says where to look. */
export function chooseToken(tokens: readonly ProvisionerToken[], reference: string): ProvisionerToken {
  const named = tokens.filter(({ id, name, prefix }) => [id, name, prefix].includes(reference));
  const usable = named.filter(({ revoked_at: revoked }) => revoked === null);
  const matches = usable.length > 0 ? usable : named;
  const [token] = matches;
  if (!token) {
    throw usageError(`No provisioner token is called ${plainText(reference)}.`, "shipfox provisioners tokens list");
  }
  if (matches.length > 1) {
    throw usageError(
      `${matches.length} provisioner tokens are called ${plainText(reference)}: name one by its id.`,
      "shipfox provisioners tokens list",
    );
  }
  return token;
}
