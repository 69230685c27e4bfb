import { join } from "node:path";
import { execa } from "execa";
import { REPOSITORY_ROOT } from "./programs.ts";

export const BUILD_LIMIT_MS = 280_000;

/** Where `buildTarballs` puts them when it is not told. */
export const TARBALL_FOLDER = join(REPOSITORY_ROOT, ".cache", "release", "tested");

/** All but the image of jobs, which is large. */
const COMPONENTS = ["control-plane", "runner", "provisioner", "cli"];

/**
 * Builds the release of these sources for this machine with `scripts/release`, or what `--component` says; answers the paths of the tarballs. Test files may
 * do so beside each other: all of them write the same bytes.
 */
export async function buildTarballs(out = TARBALL_FOLDER, ...flags: string[]): Promise<string[]> {
  const release = join(REPOSITORY_ROOT, "scripts", "release");
  const components = flags.includes("--component") ? [] : COMPONENTS.flatMap((name) => ["--component", name]);
  const { stdout } = await execa(release, ["--out", out, ...components, ...flags], { timeout: BUILD_LIMIT_MS });
  return stdout.split("\n");
}
