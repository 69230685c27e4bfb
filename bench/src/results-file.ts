import { readFile, rename, writeFile } from "node:fs/promises";
import { type Aim, type Bench, type BenchReport, isMet, type Table } from "./bench.ts";
import type { Machine } from "./machine.ts";

const INTRODUCTION = `# Benchmarks

Written by \`scripts/bench\`; each section is replaced when its benchmark runs again. Absolute figures move with the
machine and with what else it does, so read the ratios: every one is taken against a yardstick in the same run.
`;

export interface Section {
  readonly bench: Pick<Bench, "name" | "title" | "about">;
  readonly report: BenchReport;
  readonly machine: Machine;
  readonly startedAt: Date;
  readonly seconds: number;
  readonly loadBefore: string;
  readonly loadAfter: string;
}

/** Replaces the section's former text in the file and keeps the other sections. `order` is that of the names in the file. */
export async function writeSection(file: string, section: Section, order: readonly string[]): Promise<void> {
  const sections = splitSections(await readIfThere(file));
  sections.set(section.bench.name, renderSection(section));
  const texts = order.flatMap((name) => sections.get(name) ?? []);
  const temporary = `${file}.new`;
  await writeFile(temporary, [INTRODUCTION, ...texts].join("\n"));
  await rename(temporary, file);
}

/** One line for each aim, for the terminal. */
export function renderAim(aim: Aim): string {
  return `${aim.what}: ${aim.measured.toFixed(2)}, aim ${boundText(aim)}: ${isMet(aim) ? "met" : "MISSED"}`;
}

export function renderTable({ header, rows }: Table): string {
  const lines = [header, header.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

function renderSection({ bench, report, machine, startedAt, seconds, loadBefore, loadAfter }: Section): string {
  const facts = [
    ["Date", `${startedAt.toISOString().slice(0, 16).replace("T", " ")} UTC, ${Math.round(seconds)} s`],
    ["Machine", machine.processor],
    ["System", machine.system],
    ["Load before, after", `${loadBefore}, ${loadAfter}`],
    ["Versions", machine.versions],
    ["Command", `\`scripts/bench ${bench.name}\``],
  ];
  const aims = report.aims.map((aim) => [
    aim.what,
    aim.measured.toFixed(2),
    boundText(aim),
    isMet(aim) ? "met" : "missed",
  ]);
  return [
    `${marker(bench.name)}\n## ${bench.title}\n\n${bench.about}\n`,
    renderTable({ header: ["", ""], rows: facts }),
    ...report.tables.map(renderTable),
    renderTable({ header: ["Ratio", "measured", "aim", ""], rows: aims }),
    report.notes.map((note) => `* ${note}\n`).join(""),
  ].join("\n");
}

function boundText({ bound }: Aim): string {
  return "atLeast" in bound ? `≥ ${bound.atLeast}` : `≤ ${bound.atMost}`;
}

function marker(name: string): string {
  return `<!-- bench: ${name} -->`;
}

function splitSections(text: string): Map<string, string> {
  const parts = text.split(/^(?=<!-- bench: [a-z-]+ -->$)/m);
  const named = parts.map((part) => [/^<!-- bench: ([a-z-]+) -->/.exec(part)?.[1], `${part.trimEnd()}\n`] as const);
  return new Map(named.flatMap(([name, part]) => (name === undefined ? [] : [[name, part] as const])));
}

async function readIfThere(file: string): Promise<string> {
  return await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
}
