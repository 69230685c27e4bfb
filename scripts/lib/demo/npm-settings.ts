import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";

const NPM_TIMEOUT_MS = 20_000;
const SCOPED_REGISTRY = /^@[^:]+:registry$/;
const PASSED_KEYS = new Set(["registry", "proxy", "https-proxy", "noproxy", "strict-ssl", "ca"]);

export interface NpmSettings {
  /** Text of an `.npmrc` for jobs; empty when npm needs none here. */
  readonly npmrc: string;
  /** PEM file of authorities that npm trusts beyond the usual ones, null when there is none. */
  readonly caFile: string | null;
}

/** How npm on this machine reaches its registry, by its user and global configuration. `npm` is a command, empty for none. */
export async function readNpmSettings(npm: string): Promise<NpmSettings> {
  if (npm === "") return { npmrc: "", caFile: null };
  // Away from any project, whose own settings come with its repository; and npm leaves no cache in the temporary folder.
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" };
  const options = { cwd: "/", env, timeout: NPM_TIMEOUT_MS };
  const stdout = await promisify(execFile)(npm, ["config", "ls", "--long", "--json"], options).then(
    (result) => result.stdout,
    () => "{}",
  );
  return planNpmSettings(JSON.parse(stdout) as Record<string, unknown>);
}

/**
 * Only what says where packages come from: never a credential, not even one inside a URL, because every step of every job
 * can read the file. An operator who wants to pass one names a file with SHIPFOX_RUNNER_NPMRC.
 */
export function planNpmSettings(config: Readonly<Record<string, unknown>>): NpmSettings {
  const lines = Object.entries(config).flatMap(([key, value]) => {
    if (!PASSED_KEYS.has(key) && !SCOPED_REGISTRY.test(key)) return [];
    return isUsual(key, value) ? [] : toLines(key, value);
  });
  const cafile = config["cafile"];
  return {
    npmrc: lines.map((line) => `${line}\n`).join(""),
    caFile: typeof cafile === "string" && existsSync(cafile) ? cafile : null,
  };
}

function isUsual(key: string, value: unknown): boolean {
  if (value === null || value === undefined || value === "") return true;
  if (Array.isArray(value) && value.every((item) => item === "")) return true;
  return key === "strict-ssl" && value === true;
}

function toLines(key: string, value: unknown): string[] {
  if (Array.isArray(value)) return value.map((item) => `${key}[]=${JSON.stringify(item)}`);
  if (key === "noproxy" || typeof value !== "string") return [`${key}=${String(value)}`];
  return [`${key}=${key === "ca" ? JSON.stringify(value) : withoutCredential(value)}`];
}

function withoutCredential(text: string): string {
  const url = URL.parse(text);
  if (url === null) return text;
  url.username = "";
  url.password = "";
  return url.href;
}
