import type { CheckoutToken, SetupConfig } from "@shipfox/shared/machine";
import { appendConfig, checkOut, configValue } from "./git-checkout.ts";
import { fetchLargeFiles } from "./large-files.ts";
import type { Mirrors } from "./mirror.ts";
import { basicHeader } from "./repository-access.ts";
import { checkOutSubmodules, type SubmoduleCheckout } from "./submodules.ts";

export interface FilledWorkspace {
  /** Of the repository itself. */
  commit: string;
  submodules: SubmoduleCheckout[];
}

/**
 * Puts into an empty workspace what a job's checkout asks for: the repository, its submodules, its large files and, only when
 * asked, the credential. Everything belongs to the runner afterwards. Rejects with CheckoutError.
 */
export async function fillWorkspace(options: {
  workspace: string;
  mirrors: Mirrors;
  token: CheckoutToken;
  asked: NonNullable<SetupConfig["checkout"]>;
  signal: AbortSignal;
}): Promise<FilledWorkspace> {
  const { workspace, mirrors, token, asked, signal } = options;
  const commit = await mirrors.withCommit(token, signal, (source) => checkOut({ workspace, source, token, signal }));
  const recursive = asked.submodules === "recursive";
  const submodules =
    asked.submodules === undefined ? [] : await checkOutSubmodules({ workspace, token, mirrors, recursive, signal });
  const repositories = [{ workspace, token }, ...submodules];
  for (const repository of repositories) {
    if (asked.lfs) await fetchLargeFiles({ ...repository, settings: mirrors.settings, signal });
    if (token.auth?.persist) await persistCredential(repository.workspace, repository.token);
  }
  return { commit, submodules };
}

/** For git in later steps; ssh keys are never handed out. */
async function persistCredential(workspace: string, token: CheckoutToken): Promise<void> {
  const header = basicHeader(token);
  if (header === null) return;
  const origin = new URL(token.repository_url).origin;
  const author = token.git_author;
  await appendConfig(workspace, [
    `[http ${configValue(`${origin}/`)}]`,
    `\textraHeader = ${configValue(header)}`,
    ...(author ? ["[user]", `\tname = ${configValue(author.name)}`, `\temail = ${configValue(author.email)}`] : []),
  ]);
}
