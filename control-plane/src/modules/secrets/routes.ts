import {
  MAX_BATCH_BODY_BYTES,
  MIN_MASKED_CHARS,
  type Secret,
  SHORT_SECRET_CHARS,
  scopedValuesQuerySchema,
  scopeQuerySchema,
  secretsReplySchema,
  setSecretReplySchema,
  setSecretsReplySchema,
  setValueBodySchema,
  setValuesBodySchema,
  type ValueWarning,
} from "@shipfox/shared/api/scoped-values";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import type { Caller } from "../../http/caller.ts";
import { type Route, route } from "../../http/route.ts";
import type { ScopedValueRow } from "../../store/schema.ts";
import type { Envelope } from "./envelope.ts";
import { listValues } from "./list-values.ts";
import { ScopedValues, type Scope } from "./scoped-values.ts";
import { sealContext } from "./step-secrets.ts";
import {
  auditValues,
  checkEntries,
  requireScope,
  type ScopedValuesDeps,
  setValues,
  type ValueEntry,
} from "./write-values.ts";

export interface SecretRoutesDeps extends ScopedValuesDeps {
  readonly envelope: Envelope;
}

const TAG = "Secrets";
const inWorkspace = z.object({ workspaceId: id });
const oneSecret = z.object({ workspaceId: id, key: z.string() });

/** Secrets are written and used, never read back: no reply has a value. */
export function createSecretRoutes(deps: SecretRoutesDeps): Route[] {
  const { store, envelope } = deps;
  const secrets = new ScopedValues("secrets");

  const set = async (caller: Caller, scope: Scope, entries: readonly ValueEntry[]): Promise<Secret[]> => {
    checkEntries(entries);
    const place = { workspace_id: scope.workspaceId, scope_id: scope.projectId ?? scope.workspaceId };
    const sealed = entries.map(({ key, value }) => ({
      key,
      value: envelope.seal(value, sealContext({ ...place, key })),
    }));
    return (await setValues(deps, secrets, { caller, scope, entries: sealed })).map(present);
  };

  return [
    route({
      method: "GET",
      path: "/workspaces/{workspaceId}/secrets",
      tag: TAG,
      summary: "The keys of the secrets of one scope: the workspace, or one project",
      credential: "user",
      needs: "projects:read",
      params: inWorkspace,
      query: scopedValuesQuerySchema,
      responses: { 200: secretsReplySchema },
      errors: ["forbidden", "project-not-found", "invalid-cursor"],
      handle: async ({ principal, params: { workspaceId }, query }) => {
        const { page, nextCursor } = await listValues(deps, secrets, { caller: principal, workspaceId, query });
        return { status: 200, body: { secrets: page.map(present), next_cursor: nextCursor } };
      },
    }),
    route({
      method: "PUT",
      path: "/workspaces/{workspaceId}/secrets/{key}",
      tag: TAG,
      summary: "Set one secret",
      credential: "user",
      needs: "secrets:write",
      audit: "secret.set",
      params: oneSecret,
      body: setValueBodySchema,
      responses: { 200: setSecretReplySchema },
      errors: ["forbidden", "project-not-found", "invalid-key", "value-too-large", "workspace-secret-cap-exceeded"],
      handle: async ({ principal, params: { workspaceId, key }, body }) => {
        const entries = [{ key, value: body.value }];
        const [secret] = await set(principal, { workspaceId, projectId: body.project_id ?? null }, entries);
        return { status: 200, body: { secret, warnings: warningsOf(entries) } };
      },
    }),
    route({
      method: "POST",
      path: "/workspaces/{workspaceId}/secrets:batch",
      tag: TAG,
      summary: "Set several secrets of one scope, all or none",
      credential: "user",
      needs: "secrets:write",
      audit: "secret.set",
      params: inWorkspace,
      body: setValuesBodySchema,
      bodyLimitBytes: MAX_BATCH_BODY_BYTES,
      responses: { 200: setSecretsReplySchema },
      errors: [
        "forbidden",
        "project-not-found",
        "invalid-key",
        "duplicate-key",
        "value-too-large",
        "workspace-secret-cap-exceeded",
      ],
      handle: async ({ principal, params: { workspaceId }, body }) => {
        const scope = { workspaceId, projectId: body.project_id ?? null };
        const written = await set(principal, scope, body.entries);
        return { status: 200, body: { secrets: written, warnings: warningsOf(body.entries) } };
      },
    }),
    route({
      method: "DELETE",
      path: "/workspaces/{workspaceId}/secrets/{key}",
      tag: TAG,
      summary: "Remove a secret of one scope",
      credential: "user",
      needs: "secrets:write",
      audit: "secret.deleted",
      params: oneSecret,
      query: scopeQuerySchema,
      responses: { 204: null },
      errors: ["forbidden", "project-not-found", "secret-not-found"],
      handle: async ({ principal, params: { workspaceId, key }, query }) => {
        const scope = { workspaceId, projectId: query.project_id ?? null };
        await store.write(async (tx) => {
          await requireScope(deps, tx, principal, scope);
          if (!(await secrets.remove(tx, scope, key)))
            throw new ApiError("secret-not-found", "there is no such secret in this scope; list its secrets");
          await auditValues(tx, principal, secrets, scope, "deleted", [key]);
        });
        return { status: 204 };
      },
    }),
  ];
}

function present(row: ScopedValueRow): Secret {
  return {
    key: row.key,
    project_id: row.project_id,
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
    last_edited_by: row.last_edited_by,
  };
}

function warningsOf(entries: readonly ValueEntry[]): ValueWarning[] {
  return entries
    .filter(({ value }) => value.length < SHORT_SECRET_CHARS)
    .map(({ key, value }) => ({ code: "short-secret-value", key, message: adviceFor(value) }));
}

function adviceFor(value: string): string {
  if (value.length >= MIN_MASKED_CHARS)
    return `it has less than ${SHORT_SECRET_CHARS} characters and is easily guessed`;
  return `it has less than ${MIN_MASKED_CHARS} characters and is not hidden in logs, because that would hide much else`;
}
