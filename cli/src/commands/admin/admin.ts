import type { Command } from "commander";
import { type CommandContext, withExamples } from "../../command-context.ts";
import { registerAdminAudit } from "./audit.ts";
import { registerOverview } from "./overview.ts";
import { registerRootKey } from "./root-key.ts";
import { registerSettings } from "./settings.ts";
import { registerUsers } from "./users.ts";
import { registerAdminWorkspaces } from "./workspaces.ts";

/** What administrators of the server do; the control plane knows who they are. */
export function registerAdmin(program: Command, context: CommandContext): void {
  const admin = withExamples(
    program.command("admin").description("look after the whole server, as one of its administrators"),
    "shipfox admin overview",
    "shipfox admin users list",
    "shipfox admin workspaces list --status suspended",
  );
  registerOverview(admin, context);
  registerUsers(admin, context);
  registerAdminWorkspaces(admin, context);
  registerSettings(admin, context);
  registerAdminAudit(admin, context);
  registerRootKey(admin, context);
}
