import type { Result } from "./check.ts";
import { type Color, oneLine, type Output, renderTable } from "./output.ts";

const COLORS: Record<Result["finding"]["state"], Color> = { ok: "green", warn: "yellow", fail: "red" };

export function hasFailed(results: readonly Result[]): boolean {
  return results.some(({ finding }) => finding.state === "fail");
}

/** What `doctor --json` prints. */
export function doctorDocument(results: readonly Result[]) {
  const checks = results.map(({ name, finding, durationMs }) => ({ name, ...finding, duration_ms: durationMs }));
  return { ok: !hasFailed(results), checks };
}

/** What `doctor` prints: a table of the checks, and what to do about those that are not ok. */
export function renderDoctor(results: readonly Result[], output: Output): string {
  const table = renderTable(
    output,
    ["", "CHECK", "RESULT"],
    results.map(({ name, finding }) => [
      { text: finding.state, color: COLORS[finding.state] },
      { text: name },
      { text: finding.message },
    ]),
  );
  const fixes = results.flatMap(({ name, finding }) =>
    finding.state === "ok"
      ? []
      : [
          `${output.color(COLORS[finding.state], finding.state)}  ${output.color("bold", name)}: ${oneLine(finding.fix)}`,
        ],
  );
  const count = (state: Result["finding"]["state"]) => results.filter(({ finding }) => finding.state === state).length;
  const summary = `${count("fail")} failed, ${count("warn")} ${count("warn") === 1 ? "warning" : "warnings"}, ${count("ok")} ok`;
  return [table, ...(fixes.length === 0 ? [] : ["", "What to do:", ...fixes]), "", summary].join("\n");
}
