// Writes what is made from the sources in docs/: configuration, errors and the table of faults.
import { writeFile } from "node:fs/promises";
import { relative } from "node:path";
import { renderDocs } from "./lib/docs/render.ts";

for (const { file, text } of await renderDocs()) {
  await writeFile(file, text);
  console.log(`wrote ${relative(process.cwd(), file)}`);
}
