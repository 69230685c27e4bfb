import { runChecks } from "@shipfox/shared/operate/check";
import { doctorDocument, hasFailed, renderDoctor } from "@shipfox/shared/operate/doctor-report";
import type { Output } from "@shipfox/shared/operate/output";
import type { Config } from "../config.ts";
import { doctorChecks } from "../doctor/checks.ts";

/** Prints what was found; answers whether nothing has failed. */
export async function doctorCommand(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
  json: boolean,
  output: Output,
): Promise<boolean> {
  const results = await runChecks(doctorChecks(config, env));
  output.print(json ? JSON.stringify(doctorDocument(results), null, 2) : renderDoctor(results, output));
  return !hasFailed(results);
}
