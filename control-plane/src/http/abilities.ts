import type { Ability } from "@shipfox/shared/api/access-tokens";
import { ROLES, type Role } from "@shipfox/shared/api/workspaces";

/**
 * Every ability in a workspace, with the weakest role that has it, whether minting a token with it asks for the password
 * again, and what it is for. Checked on every route, and rendered into docs/access.md.
 */
export const ABILITIES = {
  "projects:read": ["viewer", "usual", "see projects, workflows, connections, members and the names of secrets"],
  "runs:read": ["viewer", "usual", "see runs, logs, annotations, events and runners"],
  "projects:write": ["maintainer", "usual", "make, change, archive and sync projects"],
  "definitions:write": ["maintainer", "usual", "save workflows"],
  "runs:start": ["maintainer", "usual", "start runs"],
  "runs:control": ["maintainer", "usual", "cancel and rerun runs; delete artifacts and caches"],
  "secrets:write": ["admin", "sensitive", "set and remove secrets, variables and registry credentials"],
  "runners:manage": ["admin", "usual", "make registration tokens; drain and revoke runners"],
  "settings:read": ["admin", "usual", "see settings, webhooks and the audit log"],
  "settings:write": ["admin", "sensitive", "change settings, connections, webhooks and agent providers"],
  "members:manage": ["admin", "sensitive", "invite and remove members and change their roles"],
  "workspace:delete": ["owner", "sensitive", "delete the workspace"],
} as const satisfies Record<Ability, readonly [role: Role, minting: "usual" | "sensitive", meaning: string]>;

export function roleHas(role: Role, ability: Ability): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(ABILITIES[ability][0]);
}

export function isAbility(name: string): name is Ability {
  return Object.hasOwn(ABILITIES, name);
}
