import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { REPOSITORY_ROOT } from "./programs.ts";
import type { Stage } from "./stage.ts";
import { BUILD_LIMIT_MS } from "./tarballs.ts";

const PARTS = ["shared", "control-plane", "runner"];
const OURS = "@shipfox";
const MIGRATIONS = "control-plane/src/store/migrations.ts";
/** What a release is built from, beside its parts. */
const BUILT_FROM = ["client", "provisioner", "cli", "deploy", "scripts", "install.sh", "LICENSE", "package-lock.json"];
const BUILT_COMPONENTS = ["control-plane", "runner", "provisioner"];

/** Launchers of another release. */
export interface Release {
  readonly controlPlane: string;
  readonly runner: string;
}

/** This code as a release with another version: its programs are installed beside those of the repository. */
export async function makeRelease(stage: Stage, version: string): Promise<Release> {
  const root = await copyTree(stage, version, PARTS);
  return {
    controlPlane: join(root, "control-plane", "bin", "shipfox-control-plane"),
    runner: join(root, "runner", "bin", "shipfox-runner"),
  };
}

/** Tarballs of this code with another version and one more migration, after which older control planes refuse the database. */
export async function buildNextRelease(stage: Stage, version: string, out: string): Promise<void> {
  const root = await copyTree(stage, version, [...PARTS, ...BUILT_FROM]);
  // Node, compressed.
  await symlink(join(REPOSITORY_ROOT, ".cache"), join(root, ".cache"));
  const file = join(root, MIGRATIONS);
  const source = await readFile(file, "utf8");
  const next = `{ version: 9999, name: "next", up: () => ["create table next_release (id text primary key)"] }`;
  const changed = source.replace(/\n\];\n/, `\n  ${next},\n];\n`);
  if (changed === source) throw new Error(`${MIGRATIONS} has no list of migrations that could be made longer`);
  await writeFile(file, changed);
  const flags = ["--out", out, ...BUILT_COMPONENTS.flatMap((name) => ["--component", name])];
  await execa(process.execPath, [join(root, "scripts", "release-build.ts"), ...flags], { timeout: BUILD_LIMIT_MS });
}

/** These parts of the repository in a folder of their own, as another version. Packages are those of the repository. */
async function copyTree(stage: Stage, version: string, parts: readonly string[]): Promise<string> {
  const root = await stage.folder(`release-${version}`);
  for (const part of parts) {
    await cp(join(REPOSITORY_ROOT, part), join(root, part), {
      recursive: true,
      filter: (source) => !source.includes("node_modules"),
    });
  }
  const packageFile = join(root, "shared", "package.json");
  const description = JSON.parse(await readFile(packageFile, "utf8")) as object;
  await writeFile(packageFile, JSON.stringify({ ...description, version }));

  const installed = join(REPOSITORY_ROOT, "node_modules");
  await mkdir(join(root, "node_modules", OURS), { recursive: true });
  for (const name of await readdir(installed)) {
    if (name !== OURS) await symlink(join(installed, name), join(root, "node_modules", name));
  }
  for (const part of await readdir(join(installed, OURS))) {
    if (parts.includes(part)) await symlink(join(root, part), join(root, "node_modules", OURS, part));
  }
  await symlink(join(REPOSITORY_ROOT, ".node"), join(root, ".node"));
  return root;
}
