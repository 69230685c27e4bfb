import { readFile } from "node:fs/promises";
import { basename, join, parse, relative, resolve } from "node:path";
import { build as runEsbuild, type Plugin } from "esbuild";
import type { Architecture } from "./components.ts";

export const ROOT = resolve(import.meta.dirname, "../../..");
const NODE_TARGET = "node24";
/** Packages in CommonJS call these; a bundle of ES modules has to bring them. Each chunk is a module of its own. */
const COMMONJS_NAMES = `import { createRequire as __createRequire } from "node:module";
const require = __createRequire(import.meta.url);
const __filename = import.meta.filename;
const __dirname = import.meta.dirname;`;
const OWN_ASSET = /new URL\("([^"]+)", import\.meta\.url\)/g;
const SOURCE = /\.ts$/;
const VERSION_FILE = /\/shared\/package\.json$/;

export interface BundleOptions {
  /** Absolute path of the program's source. */
  readonly entry: string;
  readonly version: string;
  readonly arch: Architecture;
  /** Native addons by the name under which the sources import them: absolute path of the `.node` file. */
  readonly addons: ReadonlyMap<string, string>;
}

export interface Bundle {
  /** All that the program needs in one folder, by file name: `main.mjs`, its threads and child processes, shared chunks, assets. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Paths of the sources that went into it, relative to the root of the repository. */
  readonly sources: readonly string[];
}

/**
 * Bundles a program with all packages it uses. A file that a source names by `new URL("…", import.meta.url)` comes along under
 * its own name: a TypeScript source as a program of its own, for a thread or a child process, anything else as it is.
 */
export async function bundle(options: BundleOptions): Promise<Bundle> {
  const assets = new Assets();
  let programs = [options.entry];
  for (;;) {
    const result = await runEsbuild({
      absWorkingDir: ROOT,
      entryPoints: programs.map((program) => ({ in: program, out: parse(program).name })),
      outdir: join(ROOT, "dist", "bundle"),
      write: false,
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target: NODE_TARGET,
      outExtension: { ".js": ".mjs" },
      chunkNames: "[name]-[hash]",
      assetNames: "[name]-[hash]",
      banner: { js: COMMONJS_NAMES },
      loader: { ".node": "copy" },
      // An optional compiled part of ssh2, which this has no use for.
      external: ["cpu-features"],
      plugins: [assets.plugin, withoutOptionalAddons, withAddons(options), withVersion(options.version)],
      metafile: true,
      legalComments: "none",
      logLevel: "error",
    });
    // Sorted, because sources are read side by side and the order of the programs changes the order of imports.
    const found = [options.entry, ...[...assets.programs].toSorted()];
    if (found.length === programs.length) {
      const files = new Map<string, Uint8Array>();
      for (const { path, contents } of result.outputFiles) add(files, basename(path), contents);
      for (const path of [...assets.others].toSorted()) add(files, basename(path), await readFile(path));
      return { files, sources: Object.keys(result.metafile.inputs) };
    }
    programs = found;
  }
}

/** Everything lies in one folder, so two files of one name would overwrite each other in silence. */
function add(files: Map<string, Uint8Array>, name: string, contents: Uint8Array): void {
  if (files.has(name)) throw new Error(`two files of the bundle are called ${name}; rename one of them`);
  files.set(name, contents);
}

/** Finds what the sources name by `new URL("…", import.meta.url)` and points it to the folder of the bundle. */
class Assets {
  readonly programs = new Set<string>();
  readonly others = new Set<string>();

  readonly plugin: Plugin = {
    name: "assets",
    setup: (build) => {
      build.onLoad({ filter: SOURCE }, async ({ path }) => {
        const source = await readFile(path, "utf8");
        const contents = source.replaceAll(OWN_ASSET, (_, name: string) => {
          const asset = resolve(path, "..", name);
          const isProgram = asset.endsWith(".ts");
          (isProgram ? this.programs : this.others).add(asset);
          const file = isProgram ? `${parse(asset).name}.mjs` : basename(asset);
          return `new URL(${JSON.stringify(`./${file}`)}, import.meta.url)`;
        });
        return { contents, loader: "ts" };
      });
    },
  };
}

const withAddons = ({ addons, arch }: BundleOptions): Plugin => ({
  name: "addons",
  setup: (build) => {
    // Its own entry for a platform: the general one looks for its addon in node_modules.
    build.onResolve({ filter: /^better-sqlite3$/ }, () => ({
      path: join(ROOT, "node_modules", "better-sqlite3", "lib", `linux-${arch}.js`),
    }));
    build.onResolve({ filter: /^@node-rs\// }, ({ path }) =>
      addons.has(path) ? { path, namespace: "addon" } : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: "addon" }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(addons.get(path))});`,
      resolveDir: ROOT,
      loader: "js",
    }));
  },
});

/** ssh2 tries to load a compiled part that is never there: install scripts are off. It goes on without. */
const withoutOptionalAddons: Plugin = {
  name: "no-optional-addons",
  setup: (build) => {
    build.onResolve({ filter: /sshcrypto\.node$/ }, ({ path }) => ({ path, external: true }));
  },
};

const withVersion = (version: string): Plugin => ({
  name: "version",
  setup: (build) => {
    build.onLoad({ filter: VERSION_FILE }, async ({ path }) => {
      const description = JSON.parse(await readFile(path, "utf8")) as object;
      return { contents: JSON.stringify({ ...description, version }), loader: "json" };
    });
  },
});

/** Packages among sources, by their folder relative to the root of the repository. */
export function packagesOf(sources: readonly string[]): string[] {
  const folders = sources.flatMap((source) => {
    const match = /^(.*\/)?node_modules\/(@[^/]+\/)?[^/]+/.exec(relative(ROOT, resolve(ROOT, source)));
    return match ? [match[0]] : [];
  });
  return [...new Set(folders)].toSorted();
}
