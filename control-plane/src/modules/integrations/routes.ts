import {
  connectionSchema,
  connectionsQuerySchema,
  connectionsReplySchema,
  createGitConnectionBodySchema,
  providersQuerySchema,
  providersReplySchema,
} from "@shipfox/shared/api/integrations";
import { requireAbility } from "../../http/access.ts";
import { type Route, route } from "../../http/route.ts";
import { type ConnectionsDeps, createGitConnection } from "./create-connection.ts";
import { capabilitiesOf, presentConnection, PROVIDERS } from "./model.ts";
import { listConnections } from "./store.ts";

const TAG = "Integrations";

export function createIntegrationRoutes(deps: ConnectionsDeps): Route[] {
  const { store, access } = deps;
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
          providers: PROVIDERS.filter((known) => capability === undefined || known.capabilities.includes(capability)),
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
          (row) => capability === undefined || capabilitiesOf(row.provider).includes(capability),
        );
        return { status: 200, body: { connections: listed.map(presentConnection) } };
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
        return { status: 201, body: presentConnection(connection) };
      },
    }),
  ];
}
