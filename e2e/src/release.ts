import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { REPOSITORY_ROOT } from "./programs.ts";
import type { Stage } from "./stage.ts";

const PARTS = ["shared", "control-plane", "runner"];
const OURS = "@shipfox";

/** Launchers of another release. */
export interface Release {
  readonly controlPlane: string;
  readonly runner: string;
}

/** This code as a release with another version: its programs are installed beside those of the repository. */
export async function makeRelease(stage: Stage, version: string): Promise<Release> {
  const root = await stage.folder(`release-${version}`);
  for (const part of PARTS) {
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
  for (const part of PARTS) await symlink(join(root, part), join(root, "node_modules", OURS, part));
  await symlink(join(REPOSITORY_ROOT, ".node"), join(root, ".node"));
  return {
    controlPlane: join(root, "control-plane", "bin", "shipfox-control-plane"),
    runner: join(root, "runner", "bin", "shipfox-runner"),
  };
}
