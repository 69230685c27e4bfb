import { RefusedError, UnreachableError } from "@shipfox/shared/call-error";
import { parseConfigurationFile, readConfiguration } from "@shipfox/shared/operate/configuration";
import { EXIT_COMMAND_FAILED, EXIT_CONFIGURATION } from "@shipfox/shared/operate/exit-status";
import { environmentOfService } from "@shipfox/shared/operate/installed-service";
import { processOutput } from "@shipfox/shared/operate/output";
import { runMain } from "@shipfox/shared/operate/program";
import { type CommandLine, readCommandLine } from "./command-line.ts";
import { drainCommand } from "./commands/drain-command.ts";
import { planCommand } from "./commands/plan-command.ts";
import { schemaCommand } from "./commands/schema-command.ts";
import { startCommand } from "./commands/start-command.ts";
import { statusCommand } from "./commands/status-command.ts";
import { validateCommand } from "./commands/validate-command.ts";
import { SETTINGS } from "./config.ts";
import { isTokenRefused } from "./control-plane/client.ts";
import { ProviderError } from "./drivers/driver.ts";

const EXIT_USAGE = 64;
const INSTALLED = {
  file: "/etc/shipfox/provisioner.env",
  parse: (text: string, file: string) => parseConfigurationFile(SETTINGS, text, file),
  names: [SETTINGS.configFile.variable, SETTINGS.stateDir.variable],
};
/** Of these the one that runs on this machine is asked. */
const ABOUT_SERVICE: ReadonlySet<string> = new Set(["plan", "status", "drain"]);

async function run(command: Exclude<CommandLine, { kind: "print" | "wrong" }>): Promise<number> {
  if (command.kind === "schema") return await schemaCommand();
  const config = readConfiguration(SETTINGS, environmentOf(command), command.env);
  // No child may find it.
  delete process.env[SETTINGS.token.variable];
  switch (command.kind) {
    case "start":
      return await startCommand(config);
    case "validate":
      return await validateCommand(config, command.extent, onCtrlC(), processOutput);
    case "plan":
      return await planCommand(config, command.json, processOutput);
    case "status":
      return await statusCommand(config.stateDir, command.json, processOutput);
    case "drain":
      return await drainCommand(config.stateDir, { ...command, interrupted: onCtrlC() }, processOutput);
  }
}

function environmentOf({ kind, env: flags }: { kind: string; env: Record<string, string> }): NodeJS.ProcessEnv {
  if (!ABOUT_SERVICE.has(kind)) return process.env;
  const note = (text: string) => processOutput.note(`shipfox-provisioner: ${text}`);
  return { ...environmentOfService(INSTALLED, { env: process.env, flags, note }) };
}

/** Aborted by SIGINT or SIGTERM, which then do nothing else. */
function onCtrlC(): AbortSignal {
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => interrupted.abort());
  return interrupted.signal;
}

await runMain({
  name: "shipfox-provisioner",
  command: readCommandLine(process.argv.slice(2)),
  usageStatus: EXIT_USAGE,
  run,
  statusOf: (error) => {
    if (isTokenRefused(error)) return EXIT_CONFIGURATION;
    const isTold = [ProviderError, RefusedError, UnreachableError].some((kind) => error instanceof kind);
    return isTold ? EXIT_COMMAND_FAILED : null;
  },
});
