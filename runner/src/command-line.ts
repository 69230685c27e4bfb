import { ConfigError } from "@shipfox/shared/config";
import { describeSettings, parseFlags } from "@shipfox/shared/flags";
import { parseWait } from "@shipfox/shared/operate/drain-daemon";
import { VERSION } from "@shipfox/shared/version";
import { DOCTOR_HELP } from "./commands/doctor-command.ts";
import { DRAIN_HELP } from "./commands/drain-command.ts";
import { STATUS_HELP } from "./commands/status-command.ts";
import { SETTINGS } from "./config.ts";

export type CommandLine =
  | { kind: "start"; env: Record<string, string> }
  | { kind: "status" | "doctor"; env: Record<string, string>; json: boolean }
  | { kind: "drain"; env: Record<string, string>; json: boolean; waitMs: number }
  | { kind: "print"; text: string }
  | { kind: "wrong"; message: string };

const OPTIONS = { json: { type: "boolean" }, wait: { type: "string" } } as const;
/** Which of the further options a command has. */
const OPTIONS_OF: Readonly<Record<string, readonly string[]>> = {
  start: [],
  status: ["json"],
  drain: ["json", "wait"],
  doctor: ["json"],
};

/** Flags come back as the variables they stand for; they count more than the environment. */
export function readCommandLine(argv: readonly string[]): CommandLine {
  try {
    const { variables: env, words, help, version, options } = parseFlags(SETTINGS, argv, OPTIONS);
    const isHelp = help || words[0] === "help";
    const [command = "start", ...rest] = words[0] === "help" ? words.slice(1) : words;
    if (isHelp) return { kind: "print", text: HELP_OF[command] ?? HELP };
    if (version) return { kind: "print", text: VERSION };
    const known = OPTIONS_OF[command];
    if (known === undefined || rest.length > 0)
      return wrong(`Unknown command "${words.join(" ")}"; the commands are ${Object.keys(OPTIONS_OF).join(", ")}.`);
    const foreign = Object.keys(options).find((name) => !known.includes(name));
    if (foreign !== undefined) return wrong(`"${command}" has no flag --${foreign}.`);
    const json = options["json"] === true;
    if (command === "status" || command === "doctor") return { kind: command, env, json };
    if (command === "drain") return { kind: "drain", env, json, waitMs: parseWait(options["wait"]) };
    return { kind: "start", env };
  } catch (error) {
    if (error instanceof ConfigError) return wrong(error.message);
    throw error;
  }
}

function wrong(message: string): CommandLine {
  return { kind: "wrong", message: `${message}\nSee shipfox-runner --help.` };
}

const HELP = `Usage: shipfox-runner [start] [flags]
       shipfox-runner status | drain | doctor [--help]

Takes jobs from a Shipfox control plane and runs their steps in sandboxes on this machine.
Stop it with SIGTERM: running jobs end first. A second signal stops at once. SIGHUP reads the configuration file again.

Commands:
  start   takes jobs; the default
  status  how the runner of this machine is
  drain   lets it finish what it has, then it ends
  doctor  checks this machine and says how to fix what is wrong

Examples:
  SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE=token shipfox-runner --api-url https://ci.example.com --labels linux,x64
  shipfox-runner --config-file /etc/shipfox/runner.env
  shipfox-runner doctor --config-file /etc/shipfox/runner.env

Exit status of start:
  0   drained, or stopped by a signal with every job ended or handed back
  1   failed; starting again may help
  2   wrong command line
  75  not registered in time
  78  the configuration or a credential was refused; starting again does not help

Settings, as flag, environment variable or line of the configuration file:
${describeSettings(SETTINGS)}`;

const HELP_OF: Readonly<Record<string, string>> = { status: STATUS_HELP, drain: DRAIN_HELP, doctor: DOCTOR_HELP };
