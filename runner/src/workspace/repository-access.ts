import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CheckoutToken } from "@shipfox/shared/machine";
import { CheckoutError } from "./checkout-error.ts";

/** What a fetch needs to reach a repository; `dispose` removes what lies on disk for it. */
export interface RepositoryAccess {
  config: Record<string, string>;
  env: Record<string, string>;
  dispose(): Promise<void>;
}

export interface AccessSettings {
  /** Folder of the runner for key files and known hosts, mode 0700. */
  folder: string;
  proxyEnv: Readonly<Record<string, string>>;
  /** PEM file with all authorities that https may rely on; null is git's own. */
  caBundleFile: string | null;
}

/** `[user@]host:path`, as ssh writes it; the group is the host. */
export const SCP_PATTERN = /^(?:[^@/\s]+@)?([^:/\s]+):(?!\/\/)/;

/**
 * The URL as it may be shown and stored: without user and password. ssh keeps its user, it is part of the address.
 * Throws CheckoutError for what git could take as an option, or as more than one line.
 */
export function publicUrl(repositoryUrl: string): string {
  if (repositoryUrl.startsWith("-") || /[\p{Cc}\s]/u.test(repositoryUrl)) {
    throw new CheckoutError("checkout_failed", "The repository URL is not understood.");
  }
  if (SCP_PATTERN.test(repositoryUrl)) return repositoryUrl;
  const url = parseUrl(repositoryUrl);
  url.password = "";
  if (url.protocol !== "ssh:") url.username = "";
  return url.href;
}

/** Secrets of a credential, in the forms in which git sends them. */
export function secretsOf(token: CheckoutToken): string[] {
  const basic = token.auth ? [token.auth.token, `${token.auth.username}:${token.auth.token}`] : [];
  const inUrl =
    SCP_PATTERN.test(token.repository_url) || !URL.canParse(token.repository_url)
      ? ""
      : new URL(token.repository_url).password;
  return [
    ...basic,
    ...(token.ssh_key ? [token.ssh_key] : []),
    ...(inUrl === "" ? [] : [inUrl, decodeURIComponent(inUrl)]),
  ];
}

/** Makes the access for one fetch. The credential goes to the repository's own host only, never into argv or a config file. */
export async function openAccess(token: CheckoutToken, settings: AccessSettings): Promise<RepositoryAccess> {
  const access = { config: {} as Record<string, string>, env: { ...settings.proxyEnv } as Record<string, string> };
  if (settings.caBundleFile !== null) access.env["GIT_SSL_CAINFO"] = settings.caBundleFile;
  if (token.repository_url.startsWith("file:"))
    access.env["GIT_CONFIG_GLOBAL"] = await allowForeignOwner(settings.folder);
  const header = basicHeader(token);
  if (header !== null) access.config[`http.${parseUrl(token.repository_url).origin}/.extraHeader`] = header;
  const knownHosts = join(settings.folder, "known_hosts");
  access.env["GIT_SSH_VARIANT"] = "ssh";
  if (token.ssh_key === undefined) {
    // Never the identity or the configuration of whoever runs the runner.
    access.env["GIT_SSH_COMMAND"] = sshCommand(null, knownHosts);
    return { ...access, dispose: async () => {} };
  }

  const keyFolder = await mkdtemp(join(settings.folder, "ssh-"));
  const keyFile = join(keyFolder, "key");
  await writeFile(keyFile, token.ssh_key.endsWith("\n") ? token.ssh_key : `${token.ssh_key}\n`, { mode: 0o600 });
  access.env["GIT_SSH_COMMAND"] = sshCommand(keyFile, knownHosts);
  return { ...access, dispose: () => rm(keyFolder, { recursive: true, force: true }) };
}

/**
 * The operator allowed repositories of this machine, whoever owns them. git asks for that in a file: the program that serves
 * a local repository does not get our configuration from the environment.
 */
async function allowForeignOwner(folder: string): Promise<string> {
  const file = join(folder, "local-repositories.gitconfig");
  await writeFile(file, "[safe]\n\tdirectory = *\n", { mode: 0o600 });
  return file;
}

/** The header that authorises git at the repository's host, or null without a credential for it. */
export function basicHeader(token: CheckoutToken): string | null {
  if (SCP_PATTERN.test(token.repository_url)) return null;
  const url = parseUrl(token.repository_url);
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  if (token.auth === undefined) {
    if (url.username === "" && url.password === "") return null;
    return encodeBasic(decodeURIComponent(url.username), decodeURIComponent(url.password));
  }
  if (token.auth.host !== url.host && token.auth.host !== url.hostname) {
    throw new CheckoutError(
      "checkout_failed",
      `The credential is for ${token.auth.host}, the repository is on ${url.host}; it was not sent.`,
    );
  }
  return encodeBasic(token.auth.username, token.auth.token);
}

function encodeBasic(username: string, password: string): string {
  return `Authorization: Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function sshCommand(keyFile: string | null, knownHostsFile: string): string {
  const options = [
    ...(keyFile === null ? ["-o PubkeyAuthentication=no", "-o IdentityAgent=none"] : [`-i ${shellQuote(keyFile)}`]),
    "-F /dev/null",
    "-o IdentitiesOnly=yes",
    "-o BatchMode=yes",
    "-o StrictHostKeyChecking=accept-new",
    `-o ${shellQuote(`UserKnownHostsFile="${knownHostsFile}"`)}`,
    "-o GlobalKnownHostsFile=/dev/null",
    "-o ConnectTimeout=30",
  ];
  return `ssh ${options.join(" ")}`;
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function parseUrl(text: string): URL {
  if (!URL.canParse(text)) throw new CheckoutError("checkout_failed", "The repository URL is not understood.");
  return new URL(text);
}
