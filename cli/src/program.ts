import { VERSION } from "@shipfox/shared/version";
import { Command } from "commander";
import type { CommandContext } from "./command-context.ts";
import { registerAdmin } from "./commands/admin/admin.ts";
import { registerApi } from "./commands/api.ts";
import { registerArtifacts } from "./commands/artifacts.ts";
import { registerAudit } from "./commands/audit.ts";
import { registerCaches } from "./commands/caches.ts";
import { registerCompletion } from "./commands/completion.ts";
import { registerConnections } from "./commands/connections.ts";
import { registerDoctor } from "./commands/doctor.ts";
import { registerEvents } from "./commands/events.ts";
import { registerContexts } from "./commands/contexts.ts";
import { registerExec } from "./commands/exec.ts";
import { registerLogin } from "./commands/login.ts";
import { registerLogout } from "./commands/logout.ts";
import { registerLogs } from "./commands/logs.ts";
import { registerMembers } from "./commands/members.ts";
import { registerOpen } from "./commands/open.ts";
import { registerPassword } from "./commands/password.ts";
import { registerProjects } from "./commands/projects.ts";
import { registerProvisioners } from "./commands/provisioners/provisioners.ts";
import { registerRegistries } from "./commands/registries.ts";
import { registerRun } from "./commands/run.ts";
import { registerRunners } from "./commands/runners.ts";
import { registerRuns } from "./commands/runs.ts";
import { registerSecrets } from "./commands/secrets.ts";
import { registerTokens } from "./commands/tokens.ts";
import { registerUsage } from "./commands/usage.ts";
import { registerValidate } from "./commands/validate.ts";
import { registerVariables } from "./commands/variables.ts";
import { registerWebhooks } from "./commands/webhooks.ts";
import { registerWhoami } from "./commands/whoami.ts";
import { registerWorkflows } from "./commands/workflows.ts";
import { registerWorkspaces } from "./commands/workspaces.ts";

const UNKNOWN_FLAG = /^error: unknown option '([^']+)'(?:\s+\(Did you mean (?:one of )?([^?]+)\?\))?/;
const UNKNOWN_COMMAND = /^error: unknown command '([^']+)'(?:\s+\(Did you mean (?:one of )?([^?]+)\?\))?/;
const AFTER_HELP = `
Examples:
  $ shipfox login
  $ shipfox projects create --repo https://github.com/owner/repo.git
  $ shipfox run ci --follow

Exit codes: 0 good, 1 the run failed or a file has faults, 2 the run was cancelled, 64 wrong usage, 69 the control
plane refused or did not answer, 70 a fault of this program, 130 Ctrl-C.
Environment: SHIPFOX_CONTEXT, SHIPFOX_URL, SHIPFOX_CONFIG_DIR, XDG_CONFIG_HOME, NO_COLOR.`;

/** Commander's complaint in our words. */
export function usageSentence(complaint: string): string {
  const [, flag, nearest] = UNKNOWN_FLAG.exec(complaint) ?? [];
  if (flag !== undefined) {
    const hint = nearest === undefined ? "" : ` did you mean ${nearest.replaceAll(", ", " or ")}?`;
    return `There is no flag ${flag} here;${hint} --help lists all with examples.`;
  }
  const [, command, nearestCommand] = UNKNOWN_COMMAND.exec(complaint) ?? [];
  if (command !== undefined) {
    const hint = nearestCommand === undefined ? "" : ` did you mean ${nearestCommand.replaceAll(", ", " or ")}?`;
    return `There is no command "${command}" here;${hint} --help lists all with examples.`;
  }
  const sentence = complaint
    .replace(/^error: /, "")
    .trim()
    .replace(/\.$/, "");
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}; --help shows all with examples.`;
}

/** The whole command line. Throws CommanderError instead of exiting. */
export function buildProgram(context: CommandContext): Command {
  const { stderr } = context.terminal;
  const program = new Command("shipfox")
    .description("Shipfox: run workflows on your own machines")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help with examples")
    .configureOutput({
      writeErr: (text) => void stderr.write(text),
      outputError: (text, write) => write(`${context.terminal.errorColors.red("✗")} ${usageSentence(text)}\n`),
    })
    .option("--context <name>", "work in this context instead of the current one (shipfox contexts list)")
    .on("option:context", (name: string) => {
      context.env = { ...context.env, SHIPFOX_CONTEXT: name };
    })
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .addHelpText("after", AFTER_HELP);
  registerLogin(program, context);
  registerLogout(program, context);
  registerWhoami(program, context);
  registerContexts(program, context);
  registerRun(program, context);
  registerExec(program, context);
  registerRuns(program, context);
  registerLogs(program, context);
  registerArtifacts(program, context);
  registerCaches(program, context);
  registerMembers(program, context);
  registerRunners(program, context);
  registerProvisioners(program, context);
  registerSecrets(program, context);
  registerVariables(program, context);
  registerValidate(program, context);
  registerWorkspaces(program, context);
  registerProjects(program, context);
  registerWorkflows(program, context);
  registerConnections(program, context);
  registerEvents(program, context);
  registerRegistries(program, context);
  registerWebhooks(program, context);
  registerTokens(program, context);
  registerPassword(program, context);
  registerUsage(program, context);
  registerAudit(program, context);
  registerAdmin(program, context);
  registerApi(program, context);
  registerOpen(program, context);
  registerDoctor(program, context);
  registerCompletion(program, context);
  return program;
}
