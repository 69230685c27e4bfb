import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { replaceFile, writeArchive } from "./archive.ts";
import { bundle, packagesOf, ROOT } from "./bundle.ts";
import { checksums, sha256, SUMS_FILE } from "./checksums.ts";
import type { Architecture, Component } from "./components.ts";
import { thirdPartyLicences } from "./licences.ts";
import { findAddons, nodeFolder } from "./natives.ts";
import type { ArchiveFile } from "./tar.ts";

const FILE_MODE = 0o644;
const PROGRAM_MODE = 0o755;
const PRINT_TIMEOUT_MS = 60_000;

export interface ReleaseOptions {
  readonly component: Component;
  readonly arch: Architecture;
  readonly version: string;
  /** Absolute path of the folder for the tarball. */
  readonly out: string;
}

/** Builds one tarball; answers its path. */
export async function buildTarball({ component, arch, version, out }: ReleaseOptions): Promise<string> {
  const node = await nodeFolder(arch);
  const addons = await findAddons(arch);
  const { files: bundled, sources } = await bundle({ entry: join(ROOT, component.entry), version, arch, addons });
  const packages = Object.keys(component.packages).map((name) => join("node_modules", name));
  const licences = await thirdPartyLicences([...packagesOf(sources), ...packages], node);

  const files: ArchiveFile[] = [
    { path: `bin/${component.command}`, mode: PROGRAM_MODE, contents: Buffer.from(launcher(component)) },
    { path: "lib/node", mode: PROGRAM_MODE, contents: await readFile(join(node, "bin", "node")) },
    { path: "LICENSE", mode: FILE_MODE, contents: await readFile(join(ROOT, "LICENSE")) },
    { path: "THIRD-PARTY-LICENSES", mode: FILE_MODE, contents: Buffer.from(licences) },
  ];
  for (const [name, contents] of bundled) files.push({ path: `lib/${name}`, mode: FILE_MODE, contents });
  for (const [path, source] of Object.entries(component.files)) {
    files.push({ path, mode: FILE_MODE, contents: await readFile(join(ROOT, source)) });
  }
  for (const [path, args] of Object.entries(component.printed ?? {})) {
    const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, component.entry), ...args], {
      timeout: PRINT_TIMEOUT_MS,
    });
    files.push({ path, mode: FILE_MODE, contents: Buffer.from(stdout) });
  }
  for (const [name, wanted] of Object.entries(component.packages)) {
    for (const file of wanted) {
      const contents = await readFile(join(ROOT, "node_modules", name, file));
      files.push({ path: `lib/node_modules/${name}/${file}`, mode: FILE_MODE, contents });
    }
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  files.push({
    path: "manifest.json",
    mode: FILE_MODE,
    contents: Buffer.from(manifest(files, component, arch, version)),
  });

  const name = `${component.command}-${version}-linux-${arch}`;
  const path = join(out, `${name}.tar.gz`);
  await writeArchive(
    path,
    files.map((file) => ({ ...file, path: `${name}/${file.path}` })),
  );
  return path;
}

/** SHA256SUMS for all tarballs of the folder, also those of earlier builds. */
export async function writeChecksums(out: string): Promise<void> {
  await replaceFile(join(out, SUMS_FILE), await checksums(out));
}

/** Starts the program with the Node beside it, however it was called. */
function launcher({ command }: Component): string {
  return `#!/bin/sh
set -eu
self=$(readlink -f "$0")
lib=\${self%/bin/${command}}/lib
exec "$lib/node" "$lib/main.mjs" "$@"
`;
}

function manifest(files: readonly ArchiveFile[], component: Component, arch: Architecture, version: string): string {
  const described = files.map(({ path, mode, contents }) => ({
    path,
    mode: mode.toString(8),
    bytes: contents.length,
    sha256: sha256(contents),
  }));
  const head = { component: component.name, command: component.command, version, os: "linux", arch };
  return `${JSON.stringify({ ...head, files: described }, null, 2)}\n`;
}
