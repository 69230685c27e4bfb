import { ConfigError } from "@shipfox/shared/config";
import { describeSettings, parseFlags } from "@shipfox/shared/flags";
import { VERSION } from "@shipfox/shared/version";
import { SETTINGS } from "./config.ts";

export type CommandLine =
  | { kind: "start"; env: Record<string, string> }
  | { kind: "print"; text: string }
  | { kind: "wrong"; message: string };

/** Flags come back as the variables they stand for; they count more than the environment. */
export function readCommandLine(argv: readonly string[]): CommandLine {
  try {
    const { variables, words, help, version } = parseFlags(SETTINGS, argv);
    const [command = "start", ...rest] = words;
    if (help || command === "help") return { kind: "print", text: HELP };
    if (version) return { kind: "print", text: VERSION };
    if (command === "start" && rest.length === 0) return { kind: "start", env: variables };
    return {
      kind: "wrong",
      message: `Unknown command "${words.join(" ")}"; the command is "start".\nSee shipfox-runner --help.`,
    };
  } catch (error) {
    if (error instanceof ConfigError) return { kind: "wrong", message: `${error.message}\nSee shipfox-runner --help.` };
    throw error;
  }
}

const HELP = `Usage: shipfox-runner [start] [flags]

Takes jobs from a Shipfox control plane and runs their steps in sandboxes on this machine.
Stop it with SIGTERM: running jobs end first. A second signal stops at once.

Example:
  SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE=token shipfox-runner --api-url https://ci.example.com --labels linux,x64

Settings, as flag or environment variable:
${describeSettings(SETTINGS)}`;
