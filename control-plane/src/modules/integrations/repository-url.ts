import { isIP } from "node:net";
import { MAX_REPOSITORY_URL_CHARS } from "@shipfox/shared/api/integrations";
import { ApiError } from "@shipfox/shared/errors";
import { isPublicAddress } from "../../network/public-address.ts";
import { privateAddress } from "./addresses.ts";

/** What the operator allows beyond https and ssh on the public internet. */
export interface UrlSettings {
  readonly allowFile: boolean;
  /** Absolute; repositories below it need no `allowFile`, for nobody but the operator puts any there. */
  readonly ownFolder?: string;
  readonly allowHttp: boolean;
  readonly allowPrivate: boolean;
}

export type Protocol = "https" | "http" | "ssh" | "file";

/** A clone URL that git may be given. `url` is its one canonical text: two URLs that differ only in form have the same. */
export interface RepositoryUrl {
  readonly protocol: Protocol;
  readonly url: string;
  /** Name or address without brackets; empty for file. */
  readonly host: string;
  /** Null means the protocol's own. */
  readonly port: number | null;
  readonly user: string | null;
  /** As in `url`, without a slash at the end. */
  readonly path: string;
}

export const GIT_PROVIDER = "git";

const SCHEME_PATTERN = /^([a-z][a-z0-9+.-]*):\/\//i;
/** `git@host:path`, the short ssh form. No slash before the colon, else it is a path; `ext::…` would be a helper program. */
const SCP_PATTERN = /^(?:([^@:/]+)@)?([^@:/]+):(?!:|\/\/)(.+)$/;
const USER_PATTERN = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
const HOST_PATTERN = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\.?$/;
/** Printable ASCII without quotes, backslash and backtick; other characters come percent-encoded. */
const TEXT_PATTERN = /^[!#-&(-[\]_a-z{-~^]+$/;

const EXPECTED = "expected https://host/path, ssh://user@host/path or user@host:path";

/** False for words and paths that are no address. */
export function looksLikeUrl(text: string): boolean {
  return /:\/\/|^[^\s/]+@[^\s/]+:/.test(text);
}

/** Throws 400 `invalid-repository-url`, which says what is allowed and, where an operator can allow it, by which variable. */
export function parseRepositoryUrl(text: string, settings: UrlSettings): RepositoryUrl {
  if (text.length > MAX_REPOSITORY_URL_CHARS) throw refuse(`it is longer than ${MAX_REPOSITORY_URL_CHARS} characters`);
  if (!TEXT_PATTERN.test(text)) throw refuse("it holds spaces, quotes, control or other special characters");
  if (text.startsWith("-")) throw refuse("it starts with a dash");
  const scheme = SCHEME_PATTERN.exec(text)?.[1]?.toLowerCase();
  const parsed = scheme === undefined ? parseScp(text) : parseUrl(text, scheme, settings);
  if (!settings.allowPrivate && parsed.protocol !== "file" && isKnownPrivate(parsed.host))
    throw privateAddress(parsed.host);
  return parsed;
}

/** The external repository id of the generic git connection: `git:<clone url>`. */
export function parseRepositoryId(id: string, settings: UrlSettings): RepositoryUrl {
  if (!id.startsWith(`${GIT_PROVIDER}:`))
    throw refuse(`a repository of a git connection is named ${GIT_PROVIDER}:<clone url>`);
  return parseRepositoryUrl(id.slice(GIT_PROVIDER.length + 1), settings);
}

export function repositoryId(repository: RepositoryUrl): string {
  return `${GIT_PROVIDER}:${repository.url}`;
}

/** True when `repository` lies on the server and under the path of `base`: the connection's credential may be sent there. */
export function isUnder(repository: RepositoryUrl, base: RepositoryUrl): boolean {
  return (
    repository.protocol === base.protocol &&
    repository.host === base.host &&
    repository.port === base.port &&
    (base.path === "" || repository.path === base.path || repository.path.startsWith(`${base.path}/`))
  );
}

function parseUrl(text: string, scheme: string, settings: UrlSettings): RepositoryUrl {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refuse("it is no URL");
  }
  if (url.search !== "" || url.hash !== "") throw refuse("it has a query or a fragment");
  if (url.password !== "") throw refuse("it holds a password; give the credential to the connection instead");
  const path = cleanPath(url.pathname);
  if (scheme === "file") return parseFile(url, path, settings);
  if (scheme === "ssh") {
    const host = checkedHost(url.hostname);
    const user = checkedUser(url.username);
    if (path === "") throw refuse("it names no repository");
    return {
      protocol: "ssh",
      url: `ssh://${user ? `${user}@` : ""}${bracketed(host)}${portText(url)}${path}`,
      host,
      port: portOf(url),
      user,
      path,
    };
  }
  if (scheme !== "https" && scheme !== "http") throw refuse(`the protocol ${scheme} is not supported`);
  if (scheme === "http" && !settings.allowHttp) throw notAllowed("unencrypted http is", "SHIPFOX_GIT_ALLOW_HTTP");
  if (url.username !== "") throw refuse("it holds a user name; give the credential to the connection instead");
  const host = checkedHost(url.hostname);
  return {
    protocol: scheme,
    url: `${scheme}://${bracketed(host)}${portText(url)}${path}`,
    host,
    port: portOf(url),
    user: null,
    path,
  };
}

function parseFile(url: URL, path: string, settings: UrlSettings): RepositoryUrl {
  if (!settings.allowFile && !isBelow(settings.ownFolder, path))
    throw notAllowed("repositories on the control plane's own disk are", "SHIPFOX_GIT_ALLOW_FILE");
  if (url.hostname !== "" || url.username !== "")
    throw refuse("a file URL has three slashes and an absolute path, as in file:///srv/git/app.git");
  if (path === "") throw refuse("it names no repository");
  return { protocol: "file", url: `file://${path}`, host: "", port: null, user: null, path };
}

/** `path` is percent-encoded and does not go upwards. */
function isBelow(folder: string | undefined, path: string): boolean {
  return folder !== undefined && decodeURIComponent(path).startsWith(`${folder}/`);
}

function parseScp(text: string): RepositoryUrl {
  const match = SCP_PATTERN.exec(text);
  if (!match) throw refuse("it is neither a URL nor user@host:path");
  const host = checkedHost((match[2] as string).toLowerCase());
  const user = checkedUser(match[1] ?? "");
  const path = (match[3] as string).replace(/\/+$/, "");
  if (path === "" || path.startsWith("-")) throw refuse("it names no repository");
  refuseDots(path);
  return { protocol: "ssh", url: `${user ? `${user}@` : ""}${host}:${path}`, host, port: null, user, path };
}

function cleanPath(pathname: string): string {
  refuseDots(pathname);
  return pathname.replace(/\/+$/, "");
}

function refuseDots(path: string): void {
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    throw refuse("it has a broken percent-encoding");
  }
  if (/\p{Cc}/u.test(decoded)) throw refuse("it holds control characters");
  if (decoded.split("/").some((part) => part === "..")) throw refuse("its path goes upwards");
}

function checkedHost(hostname: string): string {
  const host = hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  if (isIP(host) === 0 && !HOST_PATTERN.test(host)) throw refuse("it has no valid host name");
  return host;
}

/** ssh would take a user that starts with a dash for an option. */
function checkedUser(user: string): string | null {
  if (user === "") return null;
  if (!USER_PATTERN.test(user)) throw refuse("its user name may hold only letters, digits, '.', '_' and '-'");
  return user;
}

/** What needs no resolver to be recognised; names are resolved and checked when they are used. */
function isKnownPrivate(host: string): boolean {
  if (isIP(host) !== 0) return !isPublicAddress(host);
  const name = host.replace(/\.$/, "");
  return name === "localhost" || name.endsWith(".localhost");
}

function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

function portOf(url: URL): number | null {
  return url.port === "" ? null : Number(url.port);
}

function portText(url: URL): string {
  return url.port === "" ? "" : `:${url.port}`;
}

function refuse(why: string): ApiError {
  return new ApiError("invalid-repository-url", `the repository URL is refused because ${why}; ${EXPECTED}`);
}

function notAllowed(what: string, variable: string): ApiError {
  return new ApiError(
    "invalid-repository-url",
    `${what} not allowed here; an operator allows it with ${variable}=true`,
    {
      details: { allowed_by: variable },
    },
  );
}
