import { chmod, chown, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Pack, extract, pack } from "tar-stream";
import { caEnv } from "../operator-env.ts";
import { runnerIsRoot } from "../job-user.ts";
import { hostFault } from "../sandbox-error.ts";
import type { JobUser } from "../sandbox.ts";

/** The steps' user as the programs of an image see it, and the files that make it one. */
export interface Account {
  readonly user: JobUser;
  readonly name: string;
  readonly home: string;
  /** New content, null where the image already knows the user or group. */
  readonly passwd: string | null;
  readonly group: string | null;
}

type TarHeader = Parameters<Pack["entry"]>[0];

const DEFAULT_NAME = "shipfox";
const NO_HOMES = new Set(["", "/", "/nonexistent", "/dev/null"]);

/**
 * Many programs (git, ssh, npm) fail for a user without a line in /etc/passwd. The image's own line is kept when it has one;
 * `passwd` and `group` are the texts of the image's files, empty when it has none.
 */
export function planAccount(user: JobUser, passwd: string, group: string): Account {
  const entries = passwd.split("\n").map((line) => line.split(":"));
  const own = entries.find((fields) => fields[2] === String(user.uid));
  const name = own?.[0] ?? freeName(entries.map((fields) => fields[0] ?? ""));
  const known = own?.[5] ?? "";
  const home = NO_HOMES.has(known) || !known.startsWith("/") ? `/home/${name}` : known;
  const hasGroup = group.split("\n").some((line) => line.split(":")[2] === String(user.gid));
  return {
    user,
    name,
    home,
    passwd: own ? null : `${endLine(passwd)}${name}:x:${user.uid}:${user.gid}::${home}:/bin/sh\n`,
    group: hasGroup ? null : `${endLine(group)}${name}:x:${user.gid}:\n`,
  };
}

function freeName(taken: readonly string[]): string {
  for (let n = 1; ; n++) {
    const name = n === 1 ? DEFAULT_NAME : `${DEFAULT_NAME}${n}`;
    if (!taken.includes(name)) return name;
  }
}

function endLine(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

export const CA_PATH = "/etc/shipfox/ca.pem";

export function accountEnv(account: Account, hasCa: boolean): Record<string, string> {
  return { HOME: account.home, USER: account.name, LOGNAME: account.name, ...caEnv(hasCa ? CA_PATH : null) };
}

export interface OperatorFiles {
  npmrcFile: string | null;
  caFile: string | null;
}

/**
 * The account as files in `folder`, each to lie over its path inside: by path inside the path of the file. `folder` is
 * made; the home must be there.
 */
export async function accountOverlays(
  account: Account,
  files: OperatorFiles,
  folder: string,
): Promise<Record<string, string>> {
  const contents: { name: string; inside: string; content: string | Buffer; mode: number }[] = [];
  const add = (name: string, inside: string, content: string | Buffer, mode = 0o644) =>
    void contents.push({ name, inside, content, mode });
  if (account.passwd !== null) add("passwd", "/etc/passwd", account.passwd);
  if (account.group !== null) add("group", "/etc/group", account.group);
  if (files.npmrcFile !== null)
    add("npmrc", `${account.home}/.npmrc`, await readOperatorFile("SHIPFOX_RUNNER_NPMRC", files.npmrcFile), 0o600);
  if (files.caFile !== null) add("ca.pem", CA_PATH, await readOperatorFile("the CA file", files.caFile));
  await mkdir(folder, { mode: 0o700 });
  const overlays: Record<string, string> = {};
  for (const { name, inside, content, mode } of contents) {
    const path = join(folder, name);
    await writeFile(path, content, { flag: "wx", mode });
    // The umask may have taken the bits that the steps' user needs.
    await chmod(path, mode);
    if (runnerIsRoot() && mode === 0o600) await chown(path, account.user.uid, account.user.gid);
    overlays[inside] = path;
  }
  return overlays;
}

/**
 * Whether the account can be laid over the image, by mounts. That is the usual way: copying files into a container takes the
 * engine a fifth of the time of its start. Not for root, who may want to change these files, nor for a user of the image
 * without the home that his line names.
 */
export function canLieOver({ user, passwd, group }: Account, imageHasHome: boolean): boolean {
  if (user.uid === 0 && (passwd !== null || group !== null)) return false;
  return passwd !== null || imageHasHome;
}

/** An empty home in `folder` for a user whom the image does not know, to be mounted where `account.home` is; null for others. */
export async function makeHome({ user, passwd }: Account, folder: string): Promise<string | null> {
  if (passwd === null) return null;
  const home = join(folder, "home");
  await mkdir(home, { mode: 0o750 });
  if (runnerIsRoot()) await chown(home, user.uid, user.gid);
  return home;
}

/** A tar to unpack at the root of a container that was not started yet. */
export async function accountArchive(account: Account, files: OperatorFiles): Promise<Buffer> {
  const { uid, gid } = account.user;
  const entries: [TarHeader, string | Buffer][] = [
    [{ name: inTar(account.home), type: "directory", mode: 0o750, uid, gid }, ""],
  ];
  if (account.passwd !== null) entries.push([{ name: "etc/passwd", mode: 0o644, uid: 0, gid: 0 }, account.passwd]);
  if (account.group !== null) entries.push([{ name: "etc/group", mode: 0o644, uid: 0, gid: 0 }, account.group]);
  if (files.npmrcFile !== null) {
    const content = await readOperatorFile("SHIPFOX_RUNNER_NPMRC", files.npmrcFile);
    entries.push([{ name: `${inTar(account.home)}/.npmrc`, mode: 0o600, uid, gid }, content]);
  }
  if (files.caFile !== null) {
    entries.push([
      { name: inTar(CA_PATH), mode: 0o644, uid: 0, gid: 0 },
      await readOperatorFile("the CA file", files.caFile),
    ]);
  }
  return await packAll(entries);
}

async function readOperatorFile(what: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw hostFault(`cannot read ${path}, which ${what} names`, error);
  }
}

function inTar(path: string): string {
  return path.replace(/^\/+/, "");
}

async function packAll(entries: readonly [TarHeader, string | Buffer][]): Promise<Buffer> {
  const tar = pack();
  for (const [header, content] of entries) tar.entry(header, content);
  tar.finalize();
  const parts: Buffer[] = [];
  for await (const part of tar) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** The text of the first file in a tar stream, cut at `maxBytes`; empty for a link or a folder. */
export async function firstFileText(tar: NodeJS.ReadableStream, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  const entries = extract();
  tar.pipe(entries);
  tar.once("error", (error) => entries.destroy(error));
  for await (const entry of entries) {
    for await (const part of entry) {
      bytes += (part as Buffer).length;
      if (bytes <= maxBytes) parts.push(part as Buffer);
    }
  }
  return Buffer.concat(parts).toString("utf8");
}
