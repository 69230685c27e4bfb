import {
  MAX_BATCH_BODY_BYTES,
  scopedValuesQuerySchema,
  scopeQuerySchema,
  setValueBodySchema,
  setValuesBodySchema,
  setVariableReplySchema,
  setVariablesReplySchema,
  variableReplySchema,
  variablesReplySchema,
} from "@shipfox/shared/api/scoped-values";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import { type Route, route } from "../../http/route.ts";
import {
  auditValues,
  checkEntries,
  listValues,
  requireScope,
  ScopedValues,
  type ScopedValuesDeps,
  setValues,
} from "../secrets/public.ts";
import { presentListed, presentVariable, warningsOf } from "./model.ts";

const TAG = "Variables";
const inWorkspace = z.object({ workspaceId: id });
const oneVariable = z.object({ workspaceId: id, key: z.string() });

export function createVariableRoutes(deps: ScopedValuesDeps): Route[] {
  const { store } = deps;
  const variables = new ScopedValues("variables");
  return [
    route({
      method: "GET",
      path: "/workspaces/{workspaceId}/variables",
      tag: TAG,
      summary: "The variables of one scope, the workspace or one project, with the first line of their values",
      credential: "user",
      needs: "projects:read",
      params: inWorkspace,
      query: scopedValuesQuerySchema,
      responses: { 200: variablesReplySchema },
      errors: ["forbidden", "project-not-found", "invalid-cursor"],
      handle: async ({ principal, params: { workspaceId }, query }) => {
        const { page, nextCursor } = await listValues(deps, variables, {
          caller: principal,
          workspaceId,
          query,
        });
        return { status: 200, body: { variables: page.map(presentListed), next_cursor: nextCursor } };
      },
    }),
    route({
      method: "GET",
      path: "/workspaces/{workspaceId}/variables/{key}",
      tag: TAG,
      summary: "A variable of one scope with its whole value",
      credential: "user",
      needs: "projects:read",
      params: oneVariable,
      query: scopeQuerySchema,
      responses: { 200: variableReplySchema },
      errors: ["forbidden", "project-not-found", "variable-not-found"],
      handle: async ({ principal, params: { workspaceId, key }, query }) => {
        const scope = { workspaceId, projectId: query.project_id ?? null };
        const row = await store.read(async (tx) => {
          await requireScope(deps, tx, principal, scope);
          return variables.find(tx, scope, key);
        });
        if (!row) throw variableNotFound();
        return { status: 200, body: { variable: presentVariable(row) } };
      },
    }),
    route({
      method: "PUT",
      path: "/workspaces/{workspaceId}/variables/{key}",
      tag: TAG,
      summary: "Set one variable",
      credential: "user",
      needs: "secrets:write",
      audit: "variable.set",
      params: oneVariable,
      body: setValueBodySchema,
      responses: { 200: setVariableReplySchema },
      errors: ["forbidden", "project-not-found", "invalid-key", "value-too-large", "workspace-secret-cap-exceeded"],
      handle: async ({ principal, params: { workspaceId, key }, body }) => {
        const entries = [{ key, value: body.value }];
        checkEntries(entries);
        const scope = { workspaceId, projectId: body.project_id ?? null };
        const rows = await setValues(deps, variables, { caller: principal, scope, entries });
        return { status: 200, body: { variable: rows.map(presentVariable)[0], warnings: warningsOf(entries) } };
      },
    }),
    route({
      method: "POST",
      path: "/workspaces/{workspaceId}/variables:batch",
      tag: TAG,
      summary: "Set several variables of one scope, all or none",
      credential: "user",
      needs: "secrets:write",
      audit: "variable.set",
      params: inWorkspace,
      body: setValuesBodySchema,
      bodyLimitBytes: MAX_BATCH_BODY_BYTES,
      responses: { 200: setVariablesReplySchema },
      errors: [
        "forbidden",
        "project-not-found",
        "invalid-key",
        "duplicate-key",
        "value-too-large",
        "workspace-secret-cap-exceeded",
      ],
      handle: async ({ principal, params: { workspaceId }, body }) => {
        checkEntries(body.entries);
        const scope = { workspaceId, projectId: body.project_id ?? null };
        const rows = await setValues(deps, variables, { caller: principal, scope, entries: body.entries });
        return { status: 200, body: { variables: rows.map(presentVariable), warnings: warningsOf(body.entries) } };
      },
    }),
    route({
      method: "DELETE",
      path: "/workspaces/{workspaceId}/variables/{key}",
      tag: TAG,
      summary: "Remove a variable of one scope",
      credential: "user",
      needs: "secrets:write",
      audit: "variable.deleted",
      params: oneVariable,
      query: scopeQuerySchema,
      responses: { 204: null },
      errors: ["forbidden", "project-not-found", "variable-not-found"],
      handle: async ({ principal, params: { workspaceId, key }, query }) => {
        const scope = { workspaceId, projectId: query.project_id ?? null };
        await store.write(async (tx) => {
          await requireScope(deps, tx, principal, scope);
          if (!(await variables.remove(tx, scope, key))) throw variableNotFound();
          await auditValues(tx, principal, variables, scope, "deleted", [key]);
        });
        return { status: 204 };
      },
    }),
  ];
}

function variableNotFound(): ApiError {
  return new ApiError("variable-not-found", "there is no such variable in this scope; list its variables");
}
