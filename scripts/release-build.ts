// Builds the release; scripts/release prepares the checkout for it and explains it.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { replaceFile } from "./lib/release/archive.ts";
import { buildTarball, writeChecksums } from "./lib/release/build.ts";
import { ROOT } from "./lib/release/bundle.ts";
import { ARCHITECTURES, type Architecture, COMPONENTS, type Component } from "./lib/release/components.ts";
import { dockerAnswers, packSandboxImage } from "./lib/release/sandbox-image.ts";

const EXIT_USAGE = 64;
const INSTALLER = "install.sh";
/** Named like a component, but made by Docker: only where there is one. */
const SANDBOX_IMAGE = "sandbox-image";
/** As in semantic versioning: it becomes part of file names and of addresses. */
const VERSION_PATTERN = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;

class Misuse extends Error {}

interface Order {
  readonly components: readonly Component[];
  readonly image: "demanded" | "if-possible" | "no";
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
      component: { type: "string", multiple: true },
      arch: { type: "string", default: process.arch },
      out: { type: "string", default: join(ROOT, "dist/release") },
      version: { type: "string", default: ownVersion() },
    },
  });
  const { arch, version } = values;
  const architectures = ARCHITECTURES.filter((known) => arch === "all" || arch === known);
  if (architectures.length === 0) throw new Misuse(`--arch ${arch}: expected ${ARCHITECTURES.join(", ")} or all`);
  if (!VERSION_PATTERN.test(version)) throw new Misuse(`--version ${version}: expected a version such as 1.2.3`);
  const place = { architectures, version, out: resolve(values.out) };
  if (values.component === undefined) return { ...place, components: COMPONENTS, image: "if-possible" };
  const names = values.component.filter((name) => name !== SANDBOX_IMAGE);
  const image = names.length < values.component.length ? "demanded" : "no";
  return { ...place, components: names.map(findComponent), image };
}

function findComponent(name: string): Component {
  const component = COMPONENTS.find((candidate) => candidate.name === name);
  if (component) return component;
  const known = [...COMPONENTS.map((candidate) => candidate.name), SANDBOX_IMAGE];
  throw new Misuse(`--component ${name}: expected one of ${known.join(", ")}`);
}

async function main(argv: readonly string[]): Promise<void> {
  const { components, image, architectures, version, out } = readOrder(argv);
  for (const arch of architectures) {
    for (const component of components) {
      process.stdout.write(`${await buildTarball({ component, arch, version, out })}\n`);
    }
  }
  if (image === "demanded" || (image === "if-possible" && (await dockerAnswers()))) {
    process.stdout.write(`${await packSandboxImage({ version, out })}\n`);
  } else if (image === "if-possible") {
    process.stderr.write("release: no Docker Engine answers, so the image of jobs is not among it\n");
  }
  await replaceFile(join(out, INSTALLER), readFileSync(join(ROOT, INSTALLER)));
  await writeChecksums(out);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const isMisuse = error instanceof Misuse || (error as NodeJS.ErrnoException).code?.startsWith("ERR_PARSE_ARGS");
  process.stderr.write(`release: ${isMisuse ? (error as Error).message : (error as Error).stack}\n`);
  process.exitCode = isMisuse ? EXIT_USAGE : 1;
});
