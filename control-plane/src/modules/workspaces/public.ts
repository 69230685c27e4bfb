import type { Access } from "../../http/access.ts";
import { findInstanceRole, findRole } from "./store.ts";

/** What other modules and app.ts may use of workspaces. */
export { eraseDeleted, type ErasureDeps } from "./erasures.ts";
export { createInvitationRoutes } from "./invitation-routes.ts";
export { acceptInvitation, requireInvitation } from "./invitations.ts";
export { createMemberRoutes } from "./member-routes.ts";
export { createWorkspaceRoutes } from "./routes.ts";
export { Removals } from "./removals.ts";
export { slugCandidates } from "./slug.ts";
export { findWorkspace, oldestMembership, setStatus } from "./store.ts";

/** Memberships of active users in active workspaces, as they are at the moment of the transaction. */
export const access: Access = { role: findRole, instanceRole: findInstanceRole };
