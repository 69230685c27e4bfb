// Checks the rules of .dependency-cruiser.mjs. On its own, dependency-cruiser is content when it could not read a
// single source (a compiler it does not know, a moved folder), so this also demands that it saw every source file.
import { cruise } from "dependency-cruiser";
import extractConfig from "dependency-cruiser/config-utl/extract-depcruise-config";
import extractTsConfig from "dependency-cruiser/config-utl/extract-ts-config";
import { glob } from "node:fs/promises";

const CONFIG_FILE = "./.dependency-cruiser.mjs";
const SOURCES = ["*/src/**/*.ts", "scripts/**/*.ts", "e2e/**/*.ts", "bench/**/*.ts"];

const sources = (await Array.fromAsync(glob(SOURCES, { exclude: ["**/node_modules/**"] }))).toSorted();
const { options, ...ruleSet } = await extractConfig(CONFIG_FILE);
const { output } = await cruise(sources, { ...options, ruleSet, validate: true }, undefined, {
  tsConfig: extractTsConfig("tsconfig.json"),
});
if (typeof output === "string") throw new Error("dependency-cruiser returned text where its result was expected");

const read = new Set(output.modules.filter((module) => module.followable !== false).map((module) => module.source));
const unread = sources.filter((source) => !read.has(source));
const dependencies = output.modules.reduce((total, module) => total + module.dependencies.length, 0);
for (const { rule, from, to, cycle } of output.summary.violations) {
  const path = cycle ? cycle.map((step) => step.name).join(" -> ") : to;
  const comment = output.summary.ruleSetUsed?.forbidden?.find((candidate) => candidate.name === rule.name)?.comment;
  console.error(`${rule.name}: ${from} -> ${path}${comment ? `\n  ${comment}` : ""}`);
}
for (const source of unread) console.error(`not read: ${source}`);
if (sources.length === 0 || dependencies === 0)
  console.error("read no module with dependencies: the check checks nothing");

const failed = output.summary.violations.length > 0 || unread.length > 0 || sources.length === 0 || dependencies === 0;
console.log(`${sources.length} sources, ${dependencies} dependencies, ${output.summary.violations.length} violations`);
process.exitCode = failed ? 1 : 0;
