import { expect, it } from "vitest";
import { type Diagnostic, parseWorkflow } from "../public.ts";

/** A workflow with one job; `body` are its lines, without `steps` when it brings none. */
export function job(body: string): string {
  const own = /^‸?steps‸?:/m.test(body) ? "" : "\nsteps: [{ run: x }]";
  return `name: a\nrunner: x\njobs:\n  a:\n${`${body}${own}`.replaceAll(/^/gm, "    ")}\n`;
}

/** One job with these steps, a YAML list. */
export const steps = (list: string) => job(`steps:\n${list.replaceAll(/^/gm, "  ")}`);

/** One step with this command. */
export const run = (text: string) => steps(`- run: ${JSON.stringify(text)}`);

/** One trigger `t`. */
export const trigger = (body: string) =>
  `name: a\nrunner: x\ntriggers: { t: ${body} }\njobs: { a: { steps: [{ run: x }] } }\n`;

/** One trigger of cron with this schedule, a YAML value. */
export const cron = (schedule: string) => trigger(`{ source: cron, event: tick, config: { schedule: ${schedule} } }`);

export const listening = (body: string) => job(`listening: ${body}`);

/** Further lines at the top. */
export const top = (lines: string) => `name: a\nrunner: x\n${lines}\njobs: { a: { steps: [{ run: x }] } }\n`;

/** Jobs in the notation of JSON, one in each line. */
export const jobs = (...lines: string[]) => `name: a\nrunner: x\njobs:\n${lines.map((line) => `  ${line}\n`).join("")}`;

/** `use` needs `build`, which declares the outputs `v` (text) and `n` (a number of a step). */
export const pair = (use: string) => `name: a
runner: x
jobs:
  build:
    outputs: { v: "1", n: "\${{ steps.s.outputs.n }}" }
    steps: [{ key: s, run: x, outputs: { n: number, j: json, b: boolean, i: { type: json, schema: { type: integer } } } }]
  use:
    needs: build
${use.replaceAll(/^/gm, "    ")}
`;

/** What a diagnostic points at follows this mark. */
const MARK = "‸";

/** A workflow in which `‸` stands before each place that is refused, and its diagnostics: `code path`, `code path → suggestion`. */
export type Refused = readonly [what: string, marked: string, ...expected: string[]];

export function refuses(cases: readonly Refused[]): void {
  it.each(cases)("refuses %s", (_, marked, ...expected) => {
    const { yaml, places } = unmark(marked);
    const result = parseWorkflow(yaml);
    const found = result.ok ? [] : result.diagnostics;
    expect(found.map(brief)).toEqual(expected);
    expect(found.map(({ line, column }) => `${line}:${column}`)).toEqual(places);
  });
}

/** A workflow, what its model must hold, and the warnings: `code path` or `code path → suggestion`. */
export type Accepted = readonly [what: string, yaml: string, model?: object, ...warnings: string[]];

export function accepts(cases: readonly Accepted[]): void {
  for (const [what, marked, model = {}, ...warnings] of cases) {
    it(`accepts ${what}`, () => {
      const { yaml, places } = unmark(marked);
      const result = parseWorkflow(yaml);
      if (!result.ok) throw new Error(result.diagnostics.map(({ message }) => message).join("\n"));
      expect(result.warnings.map(brief)).toEqual(warnings);
      expect(result.warnings.map(({ line, column }) => `${line}:${column}`)).toEqual(places);
      expect(result.model).toMatchObject(model);
    });
  }
}

function brief({ code, path, suggestion }: Diagnostic): string {
  return `${code} ${path}${suggestion === undefined ? "" : ` → ${suggestion}`}`;
}

function unmark(marked: string): { yaml: string; places: string[] } {
  const places: string[] = [];
  const parts = marked.split(MARK);
  let before = "";
  for (const part of parts.slice(0, -1)) {
    before += part;
    const lines = before.split("\n");
    places.push(`${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`);
  }
  return { yaml: parts.join(""), places };
}
