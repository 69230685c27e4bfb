import { readFile, writeFile } from "node:fs/promises";
import type { SoakReport } from "./soak.ts";

const PLACE = /(<!-- soak:begin[^>]*-->\n)[^]*(\n<!-- soak:end -->)/;
const SHOWN_FINDINGS = 20;

/** The result as a Markdown table. */
export function renderSoak(report: SoakReport): string {
  const { kills, options } = report;
  const rows: [string, string | number][] = [
    ["runs", report.runs],
    ["sandbox", options.sandbox],
    ["runner killed", kills.runner],
    ["control plane killed", kills.controlPlane],
    ["all of them killed at once", kills.everything],
    ["executions", report.executions],
    ["lost", report.lost.length],
    ["doubled", report.doubled.length],
    ["left behind", report.leftBehind.length],
    ["duration", `${Math.round(report.seconds)} s`],
    ["seed", options.seed],
  ];
  return ["| What | Number |", "|---|---|", ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join("\n");
}

/** What is wrong, as lines; empty when all promises hold. */
export function complaints({ lost, doubled, leftBehind }: SoakReport): string[] {
  const lines = Object.entries({ lost, doubled, leftBehind }).flatMap(([kind, findings]) =>
    findings.map((finding) => `${kind}: ${finding}`),
  );
  const more = lines.length - SHOWN_FINDINGS;
  return more > 0 ? [...lines.slice(0, SHOWN_FINDINGS), `and ${more} more`] : lines;
}

/** Replaces what stands between the marks in a page. */
export async function writeSoak(file: string, table: string): Promise<void> {
  const page = await readFile(file, "utf8");
  if (!PLACE.test(page)) throw new Error(`${file} has no place for the table: the marks soak:begin and soak:end`);
  await writeFile(
    file,
    page.replace(PLACE, (_, begin: string, end: string) => `${begin}\n${table}\n${end}`),
  );
}
