import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "./bundle.ts";
import type { Architecture } from "./components.ts";

const run = promisify(execFile);
const CACHE = join(ROOT, ".cache", "release");
const FETCH_LIMIT_MS = 300_000;
const OWN_NODE = join(ROOT, ".node");
/** Packages of which each platform has one with the addon alone. */
const ADDON_PACKAGES = ["@node-rs/argon2"];

/** A folder with `bin/node`, its `LICENSE` and `package.json`, fetched when it is not there yet. */
export async function nodeFolder(arch: Architecture): Promise<string> {
  const isOwn = arch === process.arch;
  const folder = isOwn && existsSync(OWN_NODE) ? OWN_NODE : join(CACHE, `node-${arch}`);
  await mkdir(CACHE, { recursive: true });
  await run(join(ROOT, "scripts/lib/fetch-node"), isOwn ? [folder] : [folder, arch], { timeout: FETCH_LIMIT_MS });
  return folder;
}

/** The native addons by package: absolute path of the `.node` file. Those of another architecture come from the package registry. */
export async function findAddons(arch: Architecture): Promise<Map<string, string>> {
  const found = ADDON_PACKAGES.map(async (name): Promise<[string, string]> => {
    const folder = await platformPackage(`${name}-linux-${arch}-gnu`);
    const file = (await readdir(folder)).find((candidate) => candidate.endsWith(".node"));
    if (file === undefined) throw new Error(`${folder} has no addon`);
    return [name, join(folder, file)];
  });
  return new Map(await Promise.all(found));
}

async function platformPackage(name: string): Promise<string> {
  const installed = join(ROOT, "node_modules", name);
  if (existsSync(installed)) return installed;
  const lock = JSON.parse(await readFile(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version: string; integrity: string } | undefined>;
  };
  const locked = lock.packages[`node_modules/${name}`];
  if (!locked) throw new Error(`package-lock.json does not know ${name}`);
  const folder = join(CACHE, `${name.replace("/", "-")}-${locked.version}`);
  if (!existsSync(folder)) await fetchPackage(`${name}@${locked.version}`, locked.integrity, folder);
  return folder;
}

/** Throws when the package is not the one that package-lock.json means. */
async function fetchPackage(what: string, integrity: string, folder: string): Promise<void> {
  const work = await mkdtemp(`${folder}.`);
  try {
    const { stdout } = await run("npm", ["pack", "--silent", "--ignore-scripts", what], {
      cwd: work,
      timeout: FETCH_LIMIT_MS,
    });
    const tarball = join(work, stdout.trim());
    const [algorithm = ""] = integrity.split("-");
    const digest = createHash(algorithm)
      .update(await readFile(tarball))
      .digest("base64");
    if (`${algorithm}-${digest}` !== integrity)
      throw new Error(`the registry's ${what} is not the one in package-lock.json`);
    await run("tar", ["-xzf", tarball, "-C", work, "--no-same-owner"]);
    await rename(join(work, "package"), folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
