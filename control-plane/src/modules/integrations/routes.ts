import {
  connectionSchema,
  connectionsQuerySchema,
  connectionsReplySchema,
  createGitConnectionBodySchema,
  providersQuerySchema,
  providersReplySchema,
  repositoriesQuerySchema,
  repositoriesReplySchema,
  updateConnectionBodySchema,
} from "@shipfox/shared/api/integrations";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { requireAbility } from "../../http/access.ts";
import { type Route, route } from "../../http/route.ts";
import { changeConnection, deleteConnection } from "./change-connection.ts";
import { type ConnectionsDeps, createGitConnection } from "./create-connection.ts";
import { PROVIDER_ERRORS } from "./deliveries.ts";
import { type ListRepositoriesDeps, listRepositories } from "./list-repositories.ts";
import { presentConnection, type Providers } from "./model.ts";
import { listConnections } from "./store.ts";
import type { Syncs } from "./sync-projects.ts";

const TAG = "Integrations";
const byId = z.object({ connectionId: id });

export interface IntegrationRoutesDeps extends ConnectionsDeps, ListRepositoriesDeps {
  readonly providers: Providers;
  readonly syncs: Syncs;
}

export function createIntegrationRoutes(deps: IntegrationRoutesDeps): Route[] {
  const { store, access, providers } = deps;
  return [
    route({
      method: "GET",
      path: "/integration-providers",
      tag: TAG,
      summary: "What this server can connect to",
      credential: "user",
      needs: "identity",
      query: providersQuerySchema,
      responses: { 200: providersReplySchema },
      handle: async ({ query: { capability } }) => ({
        status: 200,
        body: {
          providers: providers.list.filter(
            (known) => capability === undefined || known.capabilities.includes(capability),
          ),
        },
      }),
    }),
    route({
      method: "GET",
      path: "/integration-connections",
      tag: TAG,
      summary: "A workspace's connections, oldest first",
      credential: "user",
      needs: "projects:read",
      query: connectionsQuerySchema,
      responses: { 200: connectionsReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, query: { workspace_id: workspaceId, capability } }) => {
        const rows = await store.read(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          return listConnections(tx, workspaceId);
        });
        const listed = rows.filter(
          (row) => capability === undefined || providers.capabilitiesOf(row.provider).includes(capability),
        );
        return { status: 200, body: { connections: listed.map((row) => presentConnection(row, providers)) } };
      },
    }),
    route({
      method: "POST",
      path: "/integrations/git/connections",
      tag: TAG,
      summary: "Connect a git host, with the credential for its repositories",
      credential: "user",
      needs: "settings:write",
      audit: "connection.created",
      body: createGitConnectionBodySchema,
      responses: { 201: connectionSchema },
      errors: ["forbidden", "invalid-repository-url"],
      handle: async ({ principal, body }) => {
        const connection = await createGitConnection(deps, {
          caller: principal,
          workspaceId: body.workspace_id,
          name: body.name,
          baseUrl: body.base_url ?? null,
          username: body.username ?? null,
          token: body.token ?? null,
          sshKey: body.ssh_key ?? null,
        });
        return { status: 201, body: presentConnection(connection, providers) };
      },
    }),
    route({
      method: "PATCH",
      path: "/integration-connections/{connectionId}",
      tag: TAG,
      summary: "Rename, disable or enable a connection",
      credential: "user",
      needs: "settings:write",
      audit: "connection.updated",
      params: byId,
      body: updateConnectionBodySchema,
      responses: { 200: connectionSchema },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params, body }) => {
        const change = { lifecycleStatus: body.lifecycle_status, displayName: body.display_name };
        const connection = await changeConnection(deps, principal, params.connectionId, change);
        return { status: 200, body: presentConnection(connection, providers) };
      },
    }),
    route({
      method: "DELETE",
      path: "/integration-connections/{connectionId}",
      tag: TAG,
      summary: "Remove a connection that no project uses, with its credential",
      credential: "user",
      needs: "settings:write",
      audit: "connection.deleted",
      params: byId,
      responses: { 204: null },
      errors: ["forbidden", "not-found", "connection-in-use"],
      handle: async ({ principal, params }) => {
        await deleteConnection(deps, principal, params.connectionId);
        return { status: 204 };
      },
    }),
    route({
      method: "GET",
      path: "/integration-connections/{connectionId}/repositories",
      tag: TAG,
      summary: "Repositories that a project can be made of, in the provider's order",
      credential: "user",
      needs: "projects:write",
      params: byId,
      query: repositoriesQuerySchema,
      responses: { 200: repositoriesReplySchema },
      errors: [
        "forbidden",
        "invalid-cursor",
        "integration-connection-not-found",
        "integration-connection-inactive",
        "integration-capability-unavailable",
        "integration-provider-unavailable",
        "invalid-repository-url",
        "repository-not-found",
        "installation-not-found",
        ...PROVIDER_ERRORS,
      ],
      handle: async ({ principal, params, query }) => {
        const request = { ...query, search: query.search, cursor: query.cursor, connectionId: params.connectionId };
        const { repositories, nextCursor } = await listRepositories(deps, principal, request);
        return { status: 200, body: { repositories, next_cursor: nextCursor } };
      },
    }),
  ];
}
