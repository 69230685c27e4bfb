import {
  bootstrapStateReplySchema,
  changeServerSettingsBodySchema,
  type Overview,
  overviewReplySchema,
  serverSettingsReplySchema,
} from "@shipfox/shared/api/admin";
import { requireInstanceRole } from "../../http/access.ts";
import { type Route, route } from "../../http/route.ts";
import { needsSetup } from "../accounts/public.ts";
import type { OperationsDeps } from "./deps.ts";
import { COUNTS } from "./store.ts";
import { createUserRoutes } from "./user-routes.ts";
import { createWorkspaceAdminRoutes } from "./workspace-routes.ts";

const TAG = "Administration";

/** The administration of the whole server. */
export function createOperationsRoutes(deps: OperationsDeps): Route[] {
  const { store, clock, access, settings } = deps;
  return [
    route({
      method: "GET",
      path: "/admin/auth/bootstrap-state",
      tag: TAG,
      summary: "Whether the first account, which owns the server, is still to be made: POST /auth/signup makes it",
      credential: "none",
      responses: { 200: bootstrapStateReplySchema },
      handle: async () => {
        const state = (await store.read(needsSetup)) ? ("available" as const) : ("closed" as const);
        return { status: 200, body: { state } };
      },
    }),
    route({
      method: "GET",
      path: "/admin/overview",
      tag: TAG,
      summary: "How much of what the server has, and what it is doing",
      credential: "user",
      needs: "instance:read",
      responses: { 200: overviewReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal }) => {
        await store.read((tx) => requireInstanceRole(access, tx, principal));
        return { status: 200, body: await readOverview(deps) };
      },
    }),
    ...createUserRoutes(deps),
    ...createWorkspaceAdminRoutes(deps),
    route({
      method: "GET",
      path: "/admin/settings",
      tag: TAG,
      summary: "The settings that can be changed while the server runs",
      credential: "user",
      needs: "instance:read",
      responses: { 200: serverSettingsReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal }) => {
        await store.read((tx) => requireInstanceRole(access, tx, principal));
        return { status: 200, body: settings.effective };
      },
    }),
    route({
      method: "PATCH",
      path: "/admin/settings",
      tag: TAG,
      summary: "Change settings at once, or give them back to how the server was started",
      credential: "user",
      needs: "instance:own",
      audit: "server_settings.changed",
      body: changeServerSettingsBodySchema,
      responses: { 200: serverSettingsReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, body: { reason, ...change } }) => {
        const body = await store.write(async (tx) => {
          await requireInstanceRole(access, tx, principal);
          const effective = await settings.change(tx, change);
          const target = { type: "server", id: null };
          const details = { ...change, reason };
          await tx.audit(principal, { workspaceId: null, action: "server_settings.changed", target, details });
          return effective;
        });
        deps.onLimitsChanged(clock.now());
        return { status: 200, body };
      },
    }),
  ];
}

type Counts = Record<
  | "users_active"
  | "users_suspended"
  | "administrators"
  | "workspaces_active"
  | "workspaces_suspended"
  | "workspaces_deleted"
  | "projects"
  | "runs_going"
  | "runs_waiting"
  | "jobs_queued"
  | "jobs_running",
  number
>;

async function readOverview({ store, version }: OperationsDeps): Promise<Overview> {
  const [counts] = await store.readSlow<Counts>(COUNTS);
  if (!counts) throw new Error("a statement that counts answered nothing");
  return {
    version,
    users: {
      active: counts.users_active,
      suspended: counts.users_suspended,
      administrators: counts.administrators,
    },
    workspaces: {
      active: counts.workspaces_active,
      suspended: counts.workspaces_suspended,
      deleted: counts.workspaces_deleted,
    },
    projects: counts.projects,
    runs: { going: counts.runs_going, waiting: counts.runs_waiting },
    jobs: { queued: counts.jobs_queued, running: counts.jobs_running },
  };
}
