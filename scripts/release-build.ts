// Builds the release; scripts/release prepares the checkout for it and explains it.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { replaceFile } from "./lib/release/archive.ts";
import { buildTarball, writeChecksums } from "./lib/release/build.ts";
import { ROOT } from "./lib/release/bundle.ts";
import { ARCHITECTURES, type Architecture, COMPONENTS, type Component } from "./lib/release/components.ts";

const EXIT_USAGE = 64;
const INSTALLER = "install.sh";
/** As in semantic versioning: it becomes part of file names and of addresses. */
const VERSION_PATTERN = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;

class Misuse extends Error {}

interface Order {
  readonly components: readonly Component[];
  readonly architectures: readonly Architecture[];
  readonly version: string;
  readonly out: string;
}

function ownVersion(): string {
  return (JSON.parse(readFileSync(join(ROOT, "shared", "package.json"), "utf8")) as { version: string }).version;
}

function readOrder(argv: readonly string[]): Order {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      component: { type: "string", multiple: true, default: COMPONENTS.map(({ name }) => name) },
      arch: { type: "string", default: process.arch },
      out: { type: "string", default: join(ROOT, "dist/release") },
      version: { type: "string", default: ownVersion() },
    },
  });
  const { arch, version } = values;
  const architectures = ARCHITECTURES.filter((known) => arch === "all" || arch === known);
  if (architectures.length === 0) throw new Misuse(`--arch ${arch}: expected ${ARCHITECTURES.join(", ")} or all`);
  if (!VERSION_PATTERN.test(version)) throw new Misuse(`--version ${version}: expected a version such as 1.2.3`);
  const components = values.component.map((name) => {
    const component = COMPONENTS.find((candidate) => candidate.name === name);
    if (!component) {
      throw new Misuse(`--component ${name}: expected one of ${COMPONENTS.map((known) => known.name).join(", ")}`);
    }
    return component;
  });
  return { components, architectures, version, out: resolve(values.out) };
}

async function main(argv: readonly string[]): Promise<void> {
  const { components, architectures, version, out } = readOrder(argv);
  for (const arch of architectures) {
    for (const component of components) {
      process.stdout.write(`${await buildTarball({ component, arch, version, out })}\n`);
    }
  }
  await replaceFile(join(out, INSTALLER), readFileSync(join(ROOT, INSTALLER)));
  await writeChecksums(out);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const isMisuse = error instanceof Misuse || (error as NodeJS.ErrnoException).code?.startsWith("ERR_PARSE_ARGS");
  process.stderr.write(`release: ${isMisuse ? (error as Error).message : (error as Error).stack}\n`);
  process.exitCode = isMisuse ? EXIT_USAGE : 1;
});
