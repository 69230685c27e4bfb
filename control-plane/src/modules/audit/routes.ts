import { auditEventsQuerySchema, auditEventsReplySchema } from "@shipfox/shared/api/audit";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { type Access, requireAbility, requireInstanceRole } from "../../http/access.ts";
import { type Route, route } from "../../http/route.ts";
import type { Store } from "../../store/store.ts";
import { listAuditEvents } from "./list-audit-events.ts";

export interface AuditRoutesDeps {
  readonly store: Store;
  readonly access: Access;
}

const TAG = "Audit";

export function createAuditRoutes({ store, access }: AuditRoutesDeps): Route[] {
  return [
    route({
      method: "GET",
      path: "/workspaces/{workspaceId}/audit-events",
      tag: TAG,
      summary: "Who did what to which object of a workspace, newest first",
      credential: "user",
      needs: "settings:read",
      params: z.object({ workspaceId: id }),
      query: auditEventsQuerySchema,
      responses: { 200: auditEventsReplySchema },
      errors: ["forbidden", "invalid-cursor"],
      handle: async ({ principal, params: { workspaceId }, query }) => {
        await store.read((tx) => requireAbility(access, tx, principal, workspaceId));
        return { status: 200, body: await listAuditEvents(store, workspaceId, query) };
      },
    }),
    route({
      method: "GET",
      path: "/admin/audit-events",
      tag: TAG,
      summary: "The same of all workspaces and of the server itself, sign-ins included",
      credential: "user",
      needs: "instance:read",
      query: auditEventsQuerySchema,
      responses: { 200: auditEventsReplySchema },
      errors: ["forbidden", "invalid-cursor"],
      handle: async ({ principal, query }) => {
        await store.read((tx) => requireInstanceRole(access, tx, principal));
        return { status: 200, body: await listAuditEvents(store, null, query) };
      },
    }),
  ];
}
