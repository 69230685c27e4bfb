import { isIPv6 } from "node:net";
import { join } from "node:path";
import type { Protocol, RepositoryUrl } from "./repository-url.ts";

const CONNECT_TIMEOUT_SECONDS = 10;
/** A transfer slower than this for this long is ended by git itself. */
const MIN_BYTES_PER_SECOND = 1_000;
const MAX_SLOW_SECONDS = 20;
/** Sent with a token when the connection names no user; hosts that look at the token alone take any. */
export const DEFAULT_USERNAME = "git";
const DEFAULT_PORTS: Record<Protocol, number> = { https: 443, http: 80, ssh: 22, file: 0 };

/** Of the control plane's own environment git sees nothing else. */
const PASSED_ON = [
  "PATH",
  "HTTPS_PROXY",
  "https_proxy",
  "HTTP_PROXY",
  "http_proxy",
  "NO_PROXY",
  "no_proxy",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "GIT_SSL_CAINFO",
] as const;

/** Credential of a connection, opened. The token goes with http and https, the key with ssh. */
export interface GitCredential {
  readonly username: string | null;
  readonly token: string | null;
  /** OpenSSH private key. */
  readonly sshKey: string | null;
}

export interface GitSurroundings {
  /** Empty folder: no configuration, no keys of the user who runs the control plane. */
  readonly home: string;
  /** Host keys seen so far: the first one of a host is kept, another one is refused. */
  readonly knownHosts: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface RemoteAccess {
  readonly repository: RepositoryUrl;
  readonly credential: GitCredential;
  /** Connect here instead of asking a resolver again; null where private addresses are allowed. */
  readonly address: string | null;
  /** 0600 file with the private key. */
  readonly sshKeyFile: string | null;
}

/**
 * Environment of a git process. Configuration comes from here alone, and credentials too, so that nothing secret
 * stands in argv. Without `remote` no protocol is allowed: local commands never open a connection.
 */
export function gitEnvironment(surroundings: GitSurroundings, remote: RemoteAccess | null): Record<string, string> {
  return {
    ...passedOn(surroundings.environment),
    LC_ALL: "C",
    HOME: surroundings.home,
    XDG_CONFIG_HOME: surroundings.home,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ASKPASS: "",
    SSH_ASKPASS: "",
    GIT_CEILING_DIRECTORIES: join(surroundings.home, ".."),
    GIT_ALLOW_PROTOCOL: remote ? remote.repository.protocol : "none",
    ...(remote?.repository.protocol === "ssh" ? sshCommand(surroundings, remote) : {}),
    ...configuration([...GENERAL_CONFIGURATION, ...(remote ? remoteConfiguration(remote) : [])]),
  };
}

type Entry = readonly [key: string, value: string];

const GENERAL_CONFIGURATION: readonly Entry[] = [
  ["core.hooksPath", "/dev/null"],
  ["credential.helper", ""],
  ["gc.auto", "0"],
  ["maintenance.auto", "false"],
  ["protocol.version", "2"],
  // Contents are asked for by name; what the repository already has is no reason not to send them.
  ["fetch.negotiationAlgorithm", "noop"],
  // One pack file per fetch, so that the limit of a file's size bounds the fetch.
  ["fetch.unpackLimit", "1"],
  // A redirect could lead past the checks of the URL and take the credential along.
  ["http.followRedirects", "false"],
  ["http.lowSpeedLimit", String(MIN_BYTES_PER_SECOND)],
  ["http.lowSpeedTime", String(MAX_SLOW_SECONDS)],
];

function remoteConfiguration({ repository, credential, address }: RemoteAccess): Entry[] {
  const { protocol, host, port, url } = repository;
  const entries: Entry[] = [["remote.origin.url", url]];
  if (protocol !== "https" && protocol !== "http") return entries;
  if (credential.token !== null) {
    const basic = Buffer.from(`${credential.username ?? DEFAULT_USERNAME}:${credential.token}`).toString("base64");
    entries.push([`http.${new URL(url).origin}/.extraHeader`, `Authorization: Basic ${basic}`]);
  }
  if (address !== null) {
    const target = isIPv6(address) ? `[${address}]` : address;
    entries.push(["http.curloptResolve", `${host}:${port ?? DEFAULT_PORTS[protocol]}:${target}`]);
  }
  return entries;
}

function sshCommand(
  { knownHosts }: GitSurroundings,
  { repository, address, sshKeyFile }: RemoteAccess,
): Record<string, string> {
  const options = [
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "StrictHostKeyChecking=accept-new",
    `UserKnownHostsFile=${knownHosts}`,
    `ConnectTimeout=${CONNECT_TIMEOUT_SECONDS}`,
    ...(address === null ? [] : [`HostName=${address}`, `HostKeyAlias=${repository.host}`]),
    ...(sshKeyFile === null ? ["PubkeyAuthentication=no"] : [`IdentityFile=${sshKeyFile}`]),
  ];
  const command = ["ssh", "-F", "/dev/null", ...options.flatMap((option) => ["-o", quoted(option)])].join(" ");
  return { GIT_SSH_COMMAND: command, GIT_SSH_VARIANT: "ssh" };
}

/** For the shell that git hands the command to. Inside, for ssh itself, spaces need quotes of their own. */
function quoted(option: string): string {
  const forSsh = option.includes(" ") ? option.replace("=", '="').concat('"') : option;
  return `'${forSsh.replaceAll("'", "'\\''")}'`;
}

function configuration(entries: readonly Entry[]): Record<string, string> {
  const variables: Record<string, string> = { GIT_CONFIG_COUNT: String(entries.length) };
  for (const [index, [key, value]] of entries.entries()) {
    variables[`GIT_CONFIG_KEY_${index}`] = key;
    variables[`GIT_CONFIG_VALUE_${index}`] = value;
  }
  return variables;
}

function passedOn(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const name of PASSED_ON) {
    const value = environment[name];
    if (value !== undefined && value !== "") variables[name] = value;
  }
  return variables;
}
