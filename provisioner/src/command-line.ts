import { ConfigError } from "@shipfox/shared/config";
import { describeSettings, parseFlags } from "@shipfox/shared/flags";
import { parseWait } from "@shipfox/shared/operate/drain-daemon";
import { VERSION } from "@shipfox/shared/version";
import { DRAIN_HELP } from "./commands/drain-command.ts";
import { PLAN_HELP } from "./commands/plan-command.ts";
import { SCHEMA_HELP } from "./commands/schema-command.ts";
import { STATUS_HELP } from "./commands/status-command.ts";
import { parseExtent, VALIDATE_HELP, type ValidateExtent } from "./commands/validate-command.ts";
import { SETTINGS } from "./config.ts";

export type CommandLine =
  | { readonly kind: "start"; readonly env: Record<string, string> }
  | { readonly kind: "validate"; readonly env: Record<string, string>; readonly extent: ValidateExtent }
  | { readonly kind: "status" | "plan"; readonly env: Record<string, string>; readonly json: boolean }
  | { readonly kind: "drain"; readonly env: Record<string, string>; readonly json: boolean; readonly waitMs: number }
  | { readonly kind: "schema" }
  | { readonly kind: "print"; readonly text: string }
  | { readonly kind: "wrong"; readonly message: string };

const OPTIONS = {
  json: { type: "boolean" },
  wait: { type: "string" },
  offline: { type: "boolean" },
  "no-machine": { type: "boolean" },
  template: { type: "string" },
} as const;
/** Which of the further options a command has. */
const OPTIONS_OF: Readonly<Record<string, readonly string[]>> = {
  start: [],
  validate: ["offline", "no-machine", "template"],
  schema: [],
  plan: ["json"],
  status: ["json"],
  drain: ["json", "wait"],
};

/** Flags come back as the variables they stand for; they count more than the environment. */
export function readCommandLine(argv: readonly string[]): CommandLine {
  try {
    const { variables: env, words, help, version, options } = parseFlags(SETTINGS, argv, OPTIONS);
    const isHelp = help || words[0] === "help";
    const [command = "start", ...rest] = words[0] === "help" ? words.slice(1) : words;
    if (isHelp) return { kind: "print", text: HELP_OF[command] ?? HELP };
    if (version) return { kind: "print", text: VERSION };
    const known = Object.hasOwn(OPTIONS_OF, command) ? OPTIONS_OF[command] : undefined;
    if (known === undefined || rest.length > 0)
      return wrong(`Unknown command "${words.join(" ")}"; the commands are ${Object.keys(OPTIONS_OF).join(", ")}.`);
    const foreign = Object.keys(options).find((name) => !known.includes(name));
    if (foreign !== undefined) return wrong(`"${command}" has no flag --${foreign}.`);
    const json = options["json"] === true;
    if (command === "validate") return { kind: command, env, extent: parseExtent(options) };
    if (command === "status" || command === "plan") return { kind: command, env, json };
    if (command === "drain") return { kind: command, env, json, waitMs: parseWait(options["wait"]) };
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
       shipfox-provisioner validate | schema | plan | status | drain [--help]

Turns waiting jobs into machines that run one job each, and removes them. SIGTERM stops it and leaves the machines as they
are; SIGHUP, or a change of the templates file, reads the templates again.

Commands:
  start     works; the default
  validate  checks the templates file, asks the provider, and proves with a machine of each template that runners get through
  schema    prints the JSON schema of the templates file, for editors
  plan      what it would create for the jobs that wait now, and why; creates nothing
  status    how the provisioner of this machine is
  drain     removes machines without a job, waits for those with one, then the provisioner ends

Examples:
  SHIPFOX_PROVISIONER_TOKEN_FILE=token shipfox-provisioner --templates-file templates.yml
  shipfox-provisioner validate --offline --templates-file templates.yml
  shipfox-provisioner drain --wait 3600

Exit status of start:
  0   stopped or drained
  1   failed; starting again may help
  64  wrong command line
  78  the configuration or the token was refused; starting again does not help

Exit status of status and drain, besides:
  3   status: unhealthy; drain: it is still draining and the time is over
  4   no provisioner is running here

Settings, as flag, environment variable or line of the configuration file:
${describeSettings(SETTINGS)}`;

const HELP_OF: Readonly<Record<string, string>> = {
  validate: VALIDATE_HELP,
  schema: SCHEMA_HELP,
  plan: PLAN_HELP,
  status: STATUS_HELP,
  drain: DRAIN_HELP,
};
