import { ConfigError } from "@shipfox/shared/config";
import { describeSettings, parseFlags } from "@shipfox/shared/flags";
import { VERSION } from "@shipfox/shared/version";
import { SETTINGS } from "./config.ts";

export type CommandLine =
  | { readonly kind: "start"; readonly env: Record<string, string> }
  | { readonly kind: "validate"; readonly env: Record<string, string>; readonly offline: boolean }
  | { readonly kind: "status" | "plan" | "drain"; readonly env: Record<string, string>; readonly json: boolean }
  | { readonly kind: "schema" }
  | { readonly kind: "print"; readonly text: string }
  | { readonly kind: "wrong"; readonly message: string };

const OPTIONS = { json: { type: "boolean" }, offline: { type: "boolean" } } as const;
const OPTIONS_OF: Readonly<Record<string, readonly string[]>> = {
  start: [],
  validate: ["offline"],
  schema: [],
  plan: ["json"],
  status: ["json"],
  drain: ["json"],
};

/** Flags come back as the variables they stand for; they count more than the environment. */
export function readCommandLine(argv: readonly string[]): CommandLine {
  try {
    const { variables: env, words, help, version, options } = parseFlags(SETTINGS, argv, OPTIONS);
    if (help || words[0] === "help") return { kind: "print", text: HELP };
    if (version) return { kind: "print", text: VERSION };
    const [command = "start", ...rest] = words;
    const known = Object.hasOwn(OPTIONS_OF, command) ? OPTIONS_OF[command] : undefined;
    if (known === undefined || rest.length > 0)
      return wrong(`Unknown command "${words.join(" ")}"; the commands are ${Object.keys(OPTIONS_OF).join(", ")}.`);
    const foreign = Object.keys(options).find((name) => !known.includes(name));
    if (foreign !== undefined) return wrong(`"${command}" has no flag --${foreign}.`);
    if (command === "validate") return { kind: command, env, offline: options["offline"] === true };
    if (command === "status" || command === "plan" || command === "drain")
      return { kind: command, env, json: options["json"] === true };
    if (command === "schema") return { kind: command };
    return { kind: "start", env };
  } catch (error) {
    if (error instanceof ConfigError) return wrong(error.message);
    throw error;
  }
}

function wrong(message: string): CommandLine {
  return { kind: "wrong", message: `${message}\nSee shipfox-provisioner --help.` };
}

const HELP = `Usage: shipfox-provisioner [start] [flags]
       shipfox-provisioner validate [--offline] | schema | plan [--json] | status [--json] | drain [--json]

Turns waiting jobs into machines that run one job each, and removes them. SIGTERM stops it and leaves the machines as they
are; SIGHUP, or a change of the templates file, reads the templates again.

Commands:
  start     works; the default
  validate  checks the templates file and asks the provider; --offline checks the file alone
  schema    prints the JSON schema of the templates file, for editors
  plan      what it would create for the jobs that wait now; creates nothing
  status    how the provisioner of this machine is
  drain     removes machines without a job, waits for those with one, then the provisioner ends

Examples:
  SHIPFOX_PROVISIONER_TOKEN_FILE=token shipfox-provisioner --templates-file templates.yml
  shipfox-provisioner validate --offline --templates-file templates.yml
  shipfox-provisioner status --json

Exit status:
  0   done; of start: stopped or drained
  1   failed; starting again may help
  64  wrong command line
  78  the configuration or the token was refused; starting again does not help

Settings, as flag, environment variable or line of the configuration file:
${describeSettings(SETTINGS)}`;
