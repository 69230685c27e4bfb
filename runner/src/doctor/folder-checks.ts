import { constants } from "node:fs";
import { access, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { formatBytes } from "@shipfox/shared/operate/output";
import type { RunnerConfig } from "../config.ts";
import { currentUser } from "../sandbox/job-user.ts";
import { type Check, type Finding, fail, ok, warn } from "@shipfox/shared/operate/check";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const MIN_INODES = 10_000;
const OTHERS_MAY_READ = 0o077;
const OTHERS_MAY_WRITE = 0o022;
const MAY_ENTER = 0o001;

/** Rights and room of the folders the runner writes to. */
export function folderChecks(config: RunnerConfig): Check[] {
  const work = resolve(config.workDir ?? join(config.stateDir, "work"));
  return [
    { name: "state folder", run: () => checkStateFolder(config.stateDir) },
    { name: "state disk", run: () => checkRoom(config.stateDir, "SHIPFOX_RUNNER_STATE_DIR", 128 * MIB, GIB) },
    { name: "work disk", run: () => checkRoom(work, "SHIPFOX_RUNNER_WORK_DIR", GIB, 5 * GIB) },
    ...(config.sandbox === "host" && currentUser().uid === 0
      ? [{ name: "work folder", run: () => checkPassage(work) }]
      : []),
  ];
}

async function checkStateFolder(folder: string): Promise<Finding> {
  const found = await stat(folder).catch(() => null);
  if (found !== null && !found.isDirectory())
    return fail(`${folder} is not a folder`, "Remove it, or set SHIPFOX_RUNNER_STATE_DIR to another path.");
  const existing = await nearestExisting(folder);
  try {
    await access(existing, constants.W_OK | constants.X_OK);
  } catch {
    return fail(
      `${existing} may not be written by user ${currentUser().uid}`,
      `Run this as the runner's user, give it the folder ("chown"), or set SHIPFOX_RUNNER_STATE_DIR to one of its own.`,
    );
  }
  if (found === null) return ok(`${folder} will be made at the first start`);
  if ((found.mode & OTHERS_MAY_WRITE) !== 0)
    return fail(`others may write to ${folder}`, `Run "chmod go-w ${folder}".`);
  const file = join(folder, "credential.json");
  const credential = await stat(file).catch(() => null);
  if (credential !== null && (credential.mode & OTHERS_MAY_READ) !== 0)
    return fail(`others may read ${file}`, `Run "chmod 600 ${file}", then revoke the runner and register it anew.`);
  if (credential !== null && credential.uid !== currentUser().uid && currentUser().uid !== 0)
    return fail(`${file} belongs to user ${credential.uid}`, "Run the runner and this command as that user.");
  return ok(folder);
}

async function checkRoom(folder: string, variable: string, minBytes: number, goodBytes: number): Promise<Finding> {
  const existing = await nearestExisting(folder);
  const { bavail, bsize, blocks, files, ffree } = await statfs(existing);
  const free = bavail * bsize;
  const text = `${formatBytes(free)} of ${formatBytes(blocks * bsize)} free at ${existing}`;
  const fix = `Free space there, or set ${variable} to a folder on a larger disk.`;
  if (free < minBytes) return fail(`${text}; at least ${formatBytes(minBytes)} is needed`, fix);
  // File systems without a fixed number of inodes report none.
  if (files > 0 && ffree < MIN_INODES)
    return fail(
      `${ffree} of ${files} inodes free at ${existing}`,
      `Remove files there, or set ${variable} to another disk.`,
    );
  if (free < goodBytes) return warn(text, fix);
  return ok(text);
}

/** Steps run as another user and must be able to pass through to their folder. */
async function checkPassage(work: string): Promise<Finding> {
  for (let folder = await nearestExisting(work); ; folder = dirname(folder)) {
    const { mode } = await stat(folder);
    if ((mode & MAY_ENTER) === 0 && folder !== work)
      return fail(
        `the steps' user cannot pass through ${folder}`,
        `Run "chmod o+x ${folder}", or set SHIPFOX_RUNNER_WORK_DIR to a folder whose parents let others pass.`,
      );
    if (folder === dirname(folder)) return ok(`${work} can be entered by the steps' user`);
  }
}

async function nearestExisting(folder: string): Promise<string> {
  let path = resolve(folder);
  while ((await stat(path).catch(() => null)) === null && path !== dirname(path)) path = dirname(path);
  return path;
}
