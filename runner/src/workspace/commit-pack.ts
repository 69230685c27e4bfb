import { constants } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { classifyGitFailure } from "./checkout-error.ts";
import { runGit } from "./git-process.ts";

const PACK_TIMEOUT_MS = 10 * 60_000;
const FOLDER = "commit-packs";
/** Of one mirror, beside the newest: the jobs of a run share a commit, and those of the run before may still start. */
const MAX_OLDER = 1;
const PACK_NAME = /^pack-[0-9a-f]+\.(?:pack|idx)$/;

/** One commit without its history, as the two files of a pack. */
export interface CommitPack {
  readonly commit: string;
  readonly folder: string;
  readonly names: readonly string[];
}

/**
 * A pack of a commit on which a mirror's history ends, made once and kept, so that jobs copy two files where a fetch would
 * start five processes. Null for what is not such a commit, a tag or the first commit of all. The caller holds the mirror.
 */
export async function packOf(mirror: string, commit: string, signal: AbortSignal): Promise<CommitPack | null> {
  const shallow = await readFile(join(mirror, "shallow"), "utf8").catch(() => "");
  if (!shallow.split("\n").includes(commit)) return null;
  const folder = join(mirror, FOLDER, commit);
  const kept = await packNames(folder);
  if (kept.length === 0) await makePack(mirror, commit, folder, signal);
  const now = new Date();
  await utimes(folder, now, now);
  return { commit, folder, names: kept.length > 0 ? kept : await packNames(folder) };
}

/** Gives an empty repository the commit and nothing before it. */
export async function usePack({ commit, folder, names }: CommitPack, gitDir: string): Promise<void> {
  const packs = join(gitDir, "objects", "pack");
  await mkdir(packs);
  // Copies, shared where the file system can: a link would belong to the job together with the mirror's.
  for (const name of names) await copyFile(join(folder, name), join(packs, name), constants.COPYFILE_FICLONE);
  await writeFile(join(gitDir, "shallow"), `${commit}\n`);
}

async function makePack(mirror: string, commit: string, folder: string, signal: AbortSignal): Promise<void> {
  await removeOldest(join(mirror, FOLDER));
  const unfinished = `${folder}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  const result = await runGit({
    // Packed as it lies there: to look for better deltas would take longer than they save.
    args: [`--git-dir=${mirror}`, "pack-objects", "--quiet", "--revs", "--window=0", join(unfinished, "pack")],
    input: `${commit}\n`,
    cwd: mirror,
    allowedProtocols: "file",
    timeoutMs: PACK_TIMEOUT_MS,
    signal,
  });
  if (result.exitCode !== 0) throw classifyGitFailure(`Packing the commit ${commit}`, result);
  await rename(unfinished, folder);
}

async function removeOldest(root: string): Promise<void> {
  const names = await readdir(root).catch(() => []);
  const ages = await Promise.all(names.map(async (name) => ({ name, usedAt: (await stat(join(root, name))).mtimeMs })));
  const oldest = ages.toSorted((left, right) => right.usedAt - left.usedAt).slice(MAX_OLDER);
  for (const { name } of oldest) await rm(join(root, name), { recursive: true, force: true });
}

async function packNames(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).filter((name) => PACK_NAME.test(name));
}
