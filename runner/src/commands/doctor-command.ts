import type { RunnerConfig } from "../config.ts";
import { doctorDocument, hasFailed, renderDoctor } from "@shipfox/shared/operate/doctor-report";
import { EXIT_COMMAND_FAILED, EXIT_OK } from "@shipfox/shared/operate/exit-status";
import type { Output } from "@shipfox/shared/operate/output";

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
  // What it is made of, the engine's client above all, would cost the start of every runner more than the rest together.
  const { examine } = await import("../doctor/doctor.ts");
  const results = await examine(config);
  output.print(json ? JSON.stringify(doctorDocument(results), null, 2) : renderDoctor(results, output));
  return hasFailed(results) ? EXIT_COMMAND_FAILED : EXIT_OK;
}
