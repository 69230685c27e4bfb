import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { renderDocs } from "./render.ts";

it.each(await renderDocs())("$file is what the sources say; node scripts/render-docs.ts writes it", async (doc) => {
  expect(await readFile(doc.file, "utf8")).toBe(doc.text);
});
