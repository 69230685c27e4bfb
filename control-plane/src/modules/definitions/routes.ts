import {
  createDefinitionBodySchema,
  definitionSchema,
  definitionsQuerySchema,
  definitionsReplySchema,
  fireManualBodySchema,
  fireManualReplySchema,
  validateDefinitionBodySchema,
  validateDefinitionReplySchema,
} from "@shipfox/shared/api/definitions";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import { requireVisible } from "../../http/access.ts";
import { type Route, route } from "../../http/route.ts";
import { createFireManual, type FireManualDeps } from "./fire-manual.ts";
import { pageOfDefinitions } from "./list-definitions.ts";
import { presentDefinition } from "./present.ts";
import { type SaveDefinitionDeps, saveDefinition } from "./save-definition.ts";
import { findDefinition } from "./store.ts";
import { WORKFLOW_JSON_SCHEMA } from "../workflow/public.ts";

export interface DefinitionRoutesDeps extends SaveDefinitionDeps, FireManualDeps {}

const TAG = "Definitions";
/** A workflow of 1,000,000 characters, written as JSON. */
const YAML_BODY_LIMIT_BYTES = 4 * 1024 * 1024;

const byId = z.object({ definitionId: id });

export function createDefinitionRoutes(deps: DefinitionRoutesDeps): Route[] {
  const { store, access } = deps;
  const fireManual = createFireManual(deps);

  return [
    route({
      method: "POST",
      path: "/definitions",
      tag: TAG,
      summary: "Save a workflow; the same origin again replaces it",
      credential: "user",
      needs: "definitions:write",
      audit: "definition.saved",
      body: createDefinitionBodySchema,
      bodyLimitBytes: YAML_BODY_LIMIT_BYTES,
      responses: { 200: definitionSchema },
      errors: ["invalid-workflow-definition", "project-not-found", "forbidden"],
      handle: async ({ principal, body }) => {
        const definition = await saveDefinition(deps, {
          caller: principal,
          projectId: body.project_id,
          source: body.source,
          configPath: body.config_path ?? null,
          sha: body.sha ?? null,
          ref: body.ref ?? null,
          yaml: body.yaml,
        });
        return { status: 200, body: presentDefinition(definition) };
      },
    }),
    route({
      method: "GET",
      path: "/definitions",
      tag: TAG,
      summary: "Definitions of a project, with the state of its sync, or of a workspace; by name",
      credential: "user",
      needs: "projects:read",
      query: definitionsQuerySchema,
      responses: { 200: definitionsReplySchema },
      errors: ["invalid-cursor", "project-not-found", "forbidden"],
      handle: async ({ principal, query }) => {
        const { project_id: projectId, workspace_id: workspaceId, limit, cursor } = query;
        const page = await pageOfDefinitions(deps, { caller: principal, projectId, workspaceId, limit, cursor });
        return { status: 200, body: page };
      },
    }),
    route({
      method: "GET",
      path: "/definitions/{definitionId}",
      tag: TAG,
      summary: "One definition",
      credential: "user",
      needs: "projects:read",
      params: byId,
      responses: { 200: definitionSchema },
      errors: ["not-found"],
      handle: async ({ principal, params }) => {
        const hidden = () => new ApiError("not-found", "there is no such definition that you may see");
        const definition = await store.read(async (tx) => {
          const found = await findDefinition(tx, params.definitionId);
          if (!found) throw hidden();
          await requireVisible(access, tx, principal, found.workspace_id, hidden);
          return found;
        });
        return { status: 200, body: presentDefinition(definition) };
      },
    }),
    route({
      method: "POST",
      path: "/definitions/validate",
      tag: TAG,
      summary: "Check a workflow without saving it",
      credential: "user",
      needs: "identity",
      body: validateDefinitionBodySchema,
      bodyLimitBytes: YAML_BODY_LIMIT_BYTES,
      responses: { 200: validateDefinitionReplySchema },
      handle: async ({ body }) => {
        const result = await deps.reader.read(body.yaml);
        if (!result.ok) return { status: 200, body: { valid: false, errors: result.diagnostics } };
        const { content, warnings, notRunnable } = result;
        const document: unknown = JSON.parse(content.document);
        const model: unknown = JSON.parse(content.model);
        const found = { workflow_document: document, workflow_model: model, warnings, not_runnable: notRunnable };
        return { status: 200, body: { valid: true, ...found } };
      },
    }),
    route({
      method: "GET",
      path: "/schemas/workflow.json",
      tag: TAG,
      summary: "JSON Schema of a workflow file, for editors",
      credential: "none",
      responses: { 200: z.looseObject({ $schema: z.string() }) },
      handle: async () => ({ status: 200, body: WORKFLOW_JSON_SCHEMA }),
    }),
    route({
      method: "POST",
      path: "/workflow-definitions/{definitionId}/fire-manual",
      tag: TAG,
      summary:
        "Start a run by hand; inputs replace those of the trigger. With the header `Prefer: reject` a run that would wait for a place in the workspace is refused",
      credential: "user",
      needs: "runs:start",
      audit: "run.started",
      params: byId,
      body: fireManualBodySchema,
      hot: true,
      responses: { 201: fireManualReplySchema },
      errors: [
        "manual-trigger-not-found",
        "forbidden",
        "project-archived",
        "concurrency-limit",
        "workspace-label-sets-exhausted",
        "workflow-interpolation-unresolvable",
        "not-runnable-yet",
      ],
      handle: async ({ principal, params, body, request }) => {
        const { runId } = await fireManual({
          caller: principal,
          definitionId: params.definitionId,
          inputs: body.inputs,
          rejectOverLimit: prefers(request.header("prefer"), "reject"),
        });
        return { status: 201, body: { workflow_run_id: runId } };
      },
    }),
  ];
}

/** Whether the header `Prefer` (RFC 7240) has the preference, alone or among others. */
function prefers(header: string | undefined, preference: string): boolean {
  return (header ?? "").split(",").some((one) => one.split(";", 1)[0]?.trim().toLowerCase() === preference);
}
