import type { TestOutcome } from "./test-summary.ts";

const FAULT_PATTERN = /\[fault (\d+)\] ([^:]+): (.*)$/;

/** The table of the faults that a run brought about, a line each; empty when there were none. */
export function faultTable(tests: readonly TestOutcome[]): string[] {
  const faults = new Map<number, { fault: string; results: Map<TestOutcome["state"], number> }>();
  for (const { name, state } of tests) {
    const [, number, fault] = FAULT_PATTERN.exec(name) ?? [];
    if (number === undefined || fault === undefined) continue;
    const row = faults.get(Number(number)) ?? { fault, results: new Map<TestOutcome["state"], number>() };
    row.results.set(state, (row.results.get(state) ?? 0) + 1);
    faults.set(Number(number), row);
  }
  const rows = [...faults].toSorted(([a], [b]) => a - b);
  const width = Math.max(0, ...rows.map(([, { fault }]) => fault.length));
  return rows.map(([number, { fault, results }]) => {
    const result = [...results].map(([state, count]) => `${count} ${state}`).join(", ");
    return `fault ${String(number).padStart(2)}  ${fault.padEnd(width)}  ${result}`;
  });
}
