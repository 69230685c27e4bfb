import { readFile, writeFile } from "node:fs/promises";
import type { SoakReport } from "./report.ts";

const SHOWN_FINDINGS = 20;

/** The result as a Markdown table. */
export function renderSoak({ runs, facts, findings, seconds, options }: SoakReport): string {
  const rows: (readonly [string, string | number])[] = [
    ["runs", runs],
    ...facts,
    ...Object.entries(findings).map(([kind, found]) => [kind, found.length] as const),
    ["duration", `${Math.round(seconds)} s`],
    ["seed", options.seed],
  ];
  return ["| What | Number |", "|---|---|", ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join("\n");
}

/** What is wrong, as lines; empty when all promises hold. */
export function complaints({ findings }: SoakReport): string[] {
  const lines = Object.entries(findings).flatMap(([kind, found]) => found.map((finding) => `${kind}: ${finding}`));
  const more = lines.length - SHOWN_FINDINGS;
  return more > 0 ? [...lines.slice(0, SHOWN_FINDINGS), `and ${more} more`] : lines;
}

/** Replaces what stands between the marks of that name in a page. */
export async function writeSoak(file: string, mark: string, table: string): Promise<void> {
  const page = await readFile(file, "utf8");
  const place = new RegExp(`(<!-- ${mark}:begin[^>]*-->\\n)[^]*(\\n<!-- ${mark}:end -->)`);
  if (!place.test(page)) throw new Error(`${file} has no place for the table: the marks ${mark}:begin and ${mark}:end`);
  await writeFile(
    file,
    page.replace(place, (_, begin: string, end: string) => `${begin}\n${table}\n${end}`),
  );
}
