import { EXIT_OK } from "@shipfox/shared/operate/exit-status";
import { DRIVERS } from "../drivers/registry.ts";
import { templatesFileSchema } from "../templates/json-schema.ts";

export const SCHEMA_HELP = `Usage: shipfox-provisioner schema

Prints the JSON schema of the templates file, with which editors complete and check it.

Examples:
  shipfox-provisioner schema > templates.schema.json

Exit status:
  0   printed
  64  wrong command line`;

export async function schemaCommand(): Promise<number> {
  const text = `${JSON.stringify(templatesFileSchema(DRIVERS), null, 2)}\n`;
  // More than a pipe takes at once: the process must not end before it is read.
  await new Promise<void>((done) => process.stdout.write(text, () => done()));
  return EXIT_OK;
}
