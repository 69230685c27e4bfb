import type { RunnerConfig } from "../config.ts";
import type { Result } from "../doctor/check.ts";
import { examine } from "../doctor/doctor.ts";
import { EXIT_COMMAND_FAILED, EXIT_OK } from "@shipfox/shared/operate/exit-status";
import { type Color, oneLine, type Output, renderTable } from "@shipfox/shared/operate/output";

export const DOCTOR_HELP = `Usage: shipfox-runner doctor [--json] [settings]

Checks what a runner with these settings needs on this machine, and says for everything that is wrong how to fix it.
Changes nothing; a runner that is running is not disturbed. Takes the same settings as start: run it as the runner's user.

Examples:
  shipfox-runner doctor
  shipfox-runner doctor --config-file /etc/shipfox/runner.env
  shipfox-runner doctor --json | jq '.checks[] | select(.state == "fail")'

Exit status:
  0  nothing has failed; there may be warnings
  1  something has failed
  2  wrong command line`;

export async function doctorCommand(config: RunnerConfig, json: boolean, output: Output): Promise<number> {
  const results = await examine(config);
  const hasFailed = results.some(({ finding }) => finding.state === "fail");
  if (json) output.print(JSON.stringify({ ok: !hasFailed, checks: results.map(present) }, null, 2));
  else output.print(renderResults(results, output));
  return hasFailed ? EXIT_COMMAND_FAILED : EXIT_OK;
}

function present({ name, finding, durationMs }: Result) {
  return { name, ...finding, duration_ms: durationMs };
}

const COLORS: Record<Result["finding"]["state"], Color> = { ok: "green", warn: "yellow", fail: "red" };

function renderResults(results: readonly Result[], output: Output): string {
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
