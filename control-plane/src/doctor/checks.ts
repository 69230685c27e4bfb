import { execFile } from "node:child_process";
import { once } from "node:events";
import { constants, existsSync } from "node:fs";
import { access, stat, statfs } from "node:fs/promises";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { type Check, fail, type Finding, ok, warn } from "@shipfox/shared/operate/check";
import { formatBytes } from "@shipfox/shared/operate/output";
import { DATABASE_FILE, KEY_FILE } from "../backup/layout.ts";
import { assertNotRestoring } from "../backup/restore-backup.ts";
import type { Config } from "../config.ts";
import { readCertificate, tlsFiles, type TlsFiles } from "../http/certificate.ts";
import { KeyRing } from "../modules/secrets/public.ts";
import { unknownSettings } from "../unknown-settings.ts";
import { readSchema, type SchemaState } from "../store/read-schema.ts";

const OTHERS = 0o077;
const GIBIBYTE = 1024 ** 3;
/** Below the first the next large artifact may fill the disk; below the second little more than a log does. */
const LOW_BYTES = 5 * GIBIBYTE;
const FULL_BYTES = GIBIBYTE / 4;
const LOW_FILES = 10_000;
const SOON_MS = 14 * 24 * 3_600_000;
const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]", "::1"]);

const run = promisify(execFile);

/** What a control plane with these settings needs on this machine. One that runs is not disturbed. */
export function doctorChecks(config: Config, env: Readonly<Record<string, string | undefined>>): Check[] {
  return [
    { name: "settings", run: async () => checkSettings(env) },
    { name: "data folder", run: () => checkDataFolder(config) },
    { name: "disk", run: () => checkDisk(config) },
    { name: "root key", run: async () => checkRootKey(config) },
    { name: "database", run: () => checkDatabase(config) },
    { name: "git", run: (signal) => checkGit(signal) },
    { name: "certificate", run: async () => checkCertificate(config) },
    { name: "server", run: (signal) => checkServer(config, signal) },
    { name: "public address", run: async () => checkPublicUrl(config) },
  ];
}

function checkSettings(env: Readonly<Record<string, string | undefined>>): Finding {
  const unknown = unknownSettings(env);
  if (unknown.length === 0) return ok("every variable that looks like one is one");
  return warn(unknown.join("; "), "Correct the name, or unset the variable.");
}

async function checkDataFolder({ dataDir }: Config): Promise<Finding> {
  const folder = resolve(dataDir);
  if (!existsSync(folder)) return ok(`${folder} is made at the first start`);
  const found = await stat(folder);
  if (!found.isDirectory()) return fail(`${folder} is not a folder`, "Choose another with --data-dir.");
  try {
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return fail(
      `this user may not write to ${folder}`,
      "Run doctor as the control plane's user, or give it the folder.",
    );
  }
  try {
    assertNotRestoring(dataDir);
  } catch (error) {
    return fail((error as Error).message, "Repeat the restore; nothing starts on this folder before.");
  }
  if ((found.mode & OTHERS) !== 0)
    return warn(`${folder} is open to other users of this machine`, `Run: chmod 700 ${folder}`);
  return ok(folder);
}

async function checkDisk({ dataDir }: Config): Promise<Finding> {
  if (!existsSync(dataDir)) return ok("not known before the data folder is made");
  const { bavail, bsize, ffree, files } = await statfs(dataDir);
  const free = bavail * bsize;
  const message = `${formatBytes(free)} are free`;
  if (free < FULL_BYTES) return fail(message, "Free space: with a full disk every change is answered 507.");
  if (free < LOW_BYTES) return warn(message, "Free space, or keep logs and artifacts for fewer days.");
  // File systems without a fixed number of files say 0.
  if (files > 0 && ffree < LOW_FILES)
    return warn(`there is room for ${ffree} files only`, "Remove files from that disk.");
  return ok(message);
}

function checkRootKey({ dataDir, rootKey: configured }: Config): Finding {
  if (configured === undefined && !existsSync(join(dataDir, KEY_FILE))) {
    if (!existsSync(join(dataDir, DATABASE_FILE))) return ok("is made at the first start");
    return fail(
      "there is a database, but no root.key",
      "Put the root.key of that database into the data folder: nothing else opens its secrets.",
    );
  }
  try {
    const [current, ...former] = KeyRing.load({ dataDir, configured }).facts;
    return ok(`${current?.keyId}${former.length > 0 ? `, and ${former.length} replaced` : ""}`);
  } catch (error) {
    return fail((error as Error).message, "Do what the message says, or restore the file from a copy.");
  }
}

async function checkDatabase(config: Config): Promise<Finding> {
  const usesSqlite = config.databaseUrl === undefined;
  try {
    const schema = await readSchema(config);
    if (schema !== null) return schemaFinding(usesSqlite ? "SQLite" : "PostgreSQL", schema);
    return ok(usesSqlite ? "SQLite, is made at the first start" : "PostgreSQL, tables are made at the first start");
  } catch (error) {
    if (usesSqlite) throw error;
    return fail(
      `PostgreSQL cannot be used: ${(error as Error).message}`,
      "Correct SHIPFOX_DATABASE_URL, or start the database and let this machine in.",
    );
  }
}

function schemaFinding(database: string, { version, isTooNew, pending }: SchemaState): Finding {
  if (isTooNew)
    return fail(`${database} has schema version ${version}, newer than this release`, "Install the newer release.");
  const names = pending.map((migration) => `${migration.version} (${migration.name})`).join(", ");
  if (pending.length === 0) return ok(`${database}, schema version ${version}`);
  return warn(
    `${database} has schema version ${version}; the next start applies ${names}`,
    "Take a backup before the next start: an older release may refuse the database afterwards.",
  );
}

async function checkGit(signal: AbortSignal): Promise<Finding> {
  try {
    const { stdout } = await run("git", ["--version"], { signal });
    return ok(stdout.trim());
  } catch {
    return fail("there is no git", "Install git: workflows are read with it.");
  }
}

async function checkServer(config: Config, signal: AbortSignal): Promise<Finding> {
  const { host, port } = config;
  const name = host === "0.0.0.0" || host === "::" ? "localhost" : host;
  const files = tlsFiles(config);
  const url = `${files === null ? "http" : "https"}://${name.includes(":") ? `[${name}]` : name}:${port}/readyz`;
  const status = await statusOf(url, files, signal);
  if (status === null) return ok(`none answers at ${url}`);
  if (typeof status === "string")
    return fail(`${url} cannot be asked: ${status}`, "Reload it: it may show another certificate than the file has.");
  if (status === 200) return ok(`answers at ${url}`);
  return fail(`${url} answers ${status}`, "Look at the server's log; curl shows which check has failed.");
}

/** Null when nothing listens; a text when TLS fails. Only the very certificate of the file is accepted, whatever its name. */
async function statusOf(url: string, files: TlsFiles | null, signal: AbortSignal): Promise<number | string | null> {
  const request = files === null ? httpRequest(url, { signal }) : httpsRequest(url, { signal, ...trustOnly(files) });
  try {
    const [response] = (await once(request.end(), "response")) as [IncomingMessage];
    response.resume();
    return response.statusCode ?? 0;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return files === null || code === "ECONNREFUSED" ? null : message;
  }
}

function trustOnly(files: TlsFiles) {
  return { ca: readCertificate(files).cert, allowPartialTrustChain: true, checkServerIdentity: () => undefined };
}

function checkCertificate(config: Config): Finding {
  const files = tlsFiles(config);
  if (files === null) return ok("not configured");
  const { expiresAt } = readCertificate(files);
  const message = `${files.certFile} is good until ${new Date(expiresAt).toISOString()}`;
  const left = expiresAt - Date.now();
  if (left <= 0) return fail(message, "Renew it: no client connects any more.");
  return left < SOON_MS ? warn(message, "Renew it; the new files are taken without a restart.") : ok(message);
}

function checkPublicUrl(config: Config): Finding {
  const { publicUrl, host, port } = config;
  if (publicUrl === undefined) {
    const scheme = tlsFiles(config) === null ? "http" : "https";
    if (LOOPBACK.has(host)) return ok(`${scheme}://localhost:${port}, for this machine only`);
    return warn(
      "SHIPFOX_PUBLIC_URL is not set, but other machines can connect",
      "Set it to the address that they use: links in mails begin with it.",
    );
  }
  const { protocol, hostname } = new URL(publicUrl);
  if (protocol === "https:" || LOOPBACK.has(hostname)) return ok(publicUrl);
  return warn(
    `${publicUrl} is not encrypted`,
    "Set SHIPFOX_TLS_CERT_FILE, or put a proxy with TLS in front: passwords and tokens can be read on the way.",
  );
}
