import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "./bundle.ts";

const run = promisify(execFile);
/** What runners call it when they are not told otherwise. */
const IMAGE = "shipfox/sandbox:1";
const CACHE = join(ROOT, ".cache", "release");
/** Docker saves for root alone; the control plane gives it to everybody. */
const FILE_MODE = 0o644;
const MAKE_LIMIT_MS = 900_000;
const PACK_LIMIT_MS = 300_000;
const ANSWER_LIMIT_MS = 20_000;

export async function dockerAnswers(): Promise<boolean> {
  return await run("docker", ["version"], { timeout: ANSWER_LIMIT_MS }).then(
    () => true,
    () => false,
  );
}

/**
 * Packs the image of jobs that name none, for this machine's architecture and as `docker load` reads it; answers its path. It is made
 * by scripts/sandbox-image when it is not there. Packing takes long and the image seldom changes: the last one is kept.
 */
export async function packSandboxImage({ version, out }: { version: string; out: string }): Promise<string> {
  await run(join(ROOT, "scripts", "sandbox-image"), [IMAGE], { timeout: MAKE_LIMIT_MS });
  const { stdout } = await run("docker", ["image", "inspect", "--format", "{{.Id}}", IMAGE]);
  const kept = join(CACHE, `sandbox-image-${stdout.trim().replace("sha256:", "")}.tar.gz`);
  if (!existsSync(kept)) await pack(kept);
  await mkdir(out, { recursive: true });
  const path = join(out, `shipfox-sandbox-image-${version}-linux-${process.arch}.tar.gz`);
  await copyFile(kept, `${path}.new`);
  await chmod(`${path}.new`, FILE_MODE);
  await rename(`${path}.new`, path);
  return path;
}

async function pack(target: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const work = await mkdtemp(`${target}.`);
  try {
    const tarball = join(work, "image.tar");
    await run("docker", ["save", "--output", tarball, IMAGE], { timeout: PACK_LIMIT_MS });
    await run("gzip", ["-n", "-6", tarball], { timeout: PACK_LIMIT_MS });
    await rename(`${tarball}.gz`, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
