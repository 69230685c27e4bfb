import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "./bundle.ts";

const LICENCE_FILE = /^(licen[cs]e|copying|notice)/i;
const LINE = "=".repeat(80);

/** Name, version, licence and the texts of the licence of each package; `folders` are relative to the root of the repository. */
export async function thirdPartyLicences(folders: readonly string[], nodeFolder: string): Promise<string> {
  const entries = await Promise.all([describe(nodeFolder), ...folders.map((folder) => describe(join(ROOT, folder)))]);
  const list = [...new Set(entries.map(({ title }) => title))].map((title) => `  ${title}`).join("\n");
  const texts = new Map(entries.map(({ title, text }) => [title, text]));
  const body = [...texts].map(([title, text]) => `${LINE}\n${title}\n${LINE}\n\n${text}\n`).join("\n");
  return `This release contains the following software of others, each under its own licence.\n\n${list}\n\n${body}`;
}

async function describe(folder: string): Promise<{ title: string; text: string }> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as {
    name: string;
    version: string;
    license?: string;
  };
  const files = (await readdir(folder)).filter((file) => LICENCE_FILE.test(file)).toSorted();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  const text = texts.map((content) => content.trimEnd()).join("\n\n") || `Licence: ${license}`;
  return { title: `${name} ${version} (${license ?? "see below"})`, text };
}
