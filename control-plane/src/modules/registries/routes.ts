import {
  createRegistryCredentialBodySchema,
  registryCredentialSchema,
  registryCredentialsReplySchema,
} from "@shipfox/shared/api/registries";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { registryCredentialQuerySchema, registryCredentialReplySchema } from "@shipfox/shared/machine";
import { z } from "zod";
import { type Access, requireAbility } from "../../http/access.ts";
import { type Route, route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import type { RegistryCredentialRow } from "../../store/schema.ts";
import type { Store, Tx } from "../../store/store.ts";
import type { Envelope } from "../secrets/public.ts";
import { credentialForJob, sealContext } from "./credential-for-job.ts";
import { presentCredential } from "./model.ts";
import { countCredentials, credentialsOfScope, deleteCredential, insertCredential, listCredentials } from "./store.ts";

export interface RegistryRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly envelope: Envelope;
  readonly projects: { workspaceOf(tx: Tx, projectId: string): Promise<string | null | undefined> };
}

const MAX_CREDENTIALS = 200;
const TAG = "Registries";
const inWorkspace = z.object({ workspaceId: id });
const oneCredential = z.object({ workspaceId: id, credentialId: id });

export function createRegistryRoutes(deps: RegistryRoutesDeps): Route[] {
  const { store, clock, access, envelope, projects } = deps;
  return [
    route({
      method: "POST",
      path: "/workspaces/{workspaceId}/registry-credentials",
      tag: TAG,
      summary:
        "Store a credential for a registry of images, for all projects or for some; it replaces the one for the same host and the same projects",
      credential: "user",
      needs: "secrets:write",
      audit: "registry_credential.created",
      params: inWorkspace,
      body: createRegistryCredentialBodySchema,
      responses: { 201: registryCredentialSchema },
      errors: ["forbidden", "project-not-found", "registry-credentials-exhausted"],
      handle: async ({ principal, params: { workspaceId }, body }) => {
        const now = clock.now();
        const identity = { id: newId(now), workspace_id: workspaceId };
        const row: RegistryCredentialRow = {
          ...identity,
          host: body.host,
          username: body.username,
          sealed_password: envelope.seal(body.password, sealContext(identity)),
          project_ids: body.project_ids === undefined ? null : JSON.stringify([...new Set(body.project_ids)].sort()),
          created_at: now,
        };
        await store.write(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          for (const projectId of body.project_ids ?? []) {
            if ((await projects.workspaceOf(tx, projectId)) !== workspaceId) {
              throw new ApiError("project-not-found", `the workspace has no project ${projectId}`);
            }
          }
          const replaced = await credentialsOfScope(tx, row);
          for (const credentialId of replaced) await deleteCredential(tx, workspaceId, credentialId);
          if ((await countCredentials(tx, workspaceId)) >= MAX_CREDENTIALS) {
            const message = `the workspace has ${MAX_CREDENTIALS} registry credentials, the most it may have; remove some`;
            throw new ApiError("registry-credentials-exhausted", message);
          }
          await insertCredential(tx, row);
          await tx.audit(principal, {
            workspaceId,
            action: "registry_credential.created",
            target: { type: "registry_credential", id: row.id, name: row.host },
            ...(replaced.length === 0 ? {} : { details: { replaced } }),
          });
        });
        return { status: 201, body: presentCredential(row) };
      },
    }),
    route({
      method: "GET",
      path: "/workspaces/{workspaceId}/registry-credentials",
      tag: TAG,
      summary: "The registry credentials of a workspace, oldest first, without their passwords",
      credential: "user",
      needs: "projects:read",
      params: inWorkspace,
      responses: { 200: registryCredentialsReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId } }) => {
        const rows = await store.read(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          return listCredentials(tx, workspaceId);
        });
        return { status: 200, body: { registry_credentials: rows.map(presentCredential) } };
      },
    }),
    route({
      method: "DELETE",
      path: "/workspaces/{workspaceId}/registry-credentials/{credentialId}",
      tag: TAG,
      summary: "Remove a registry credential; images that need it can no longer be used, copies on runners included",
      credential: "user",
      needs: "secrets:write",
      audit: "registry_credential.deleted",
      params: oneCredential,
      responses: { 204: null },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params: { workspaceId, credentialId } }) => {
        await store.write(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          if (!(await deleteCredential(tx, workspaceId, credentialId)))
            throw new ApiError("not-found", "the workspace has no registry credential with this id");
          const target = { type: "registry_credential", id: credentialId };
          await tx.audit(principal, { workspaceId, action: "registry_credential.deleted", target });
        });
        return { status: 204 };
      },
    }),
    route({
      method: "GET",
      path: "/runs/jobs/current/registry-credentials",
      tag: "Machine: jobs",
      summary: "What the registry of one of the job's images asks for, null when nothing is stored for it",
      credential: "lease",
      query: registryCredentialQuerySchema,
      responses: { 200: registryCredentialReplySchema },
      errors: ["lease-not-active", "not-found"],
      handle: async ({ principal, query }) => ({
        status: 200,
        headers: { "cache-control": "no-store" },
        body: { credential: await credentialForJob({ store, envelope }, principal, query.image) },
      }),
    }),
  ];
}
