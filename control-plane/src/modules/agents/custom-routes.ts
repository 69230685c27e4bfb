import {
  createCustomProviderBodySchema,
  customConfigSchema,
  discoverModelsBodySchema,
  modelsReplySchema,
  providerReference,
  rediscoverModelsBodySchema,
  updateCustomProviderBodySchema,
} from "@shipfox/shared/api/agents";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { type Route, route } from "../../http/route.ts";
import { createCustomProvider, updateCustomProvider } from "./custom-provider.ts";
import type { AgentDeps } from "./deps.ts";
import { presentConfig } from "./model.ts";
import { discoverModels, rediscoverModels } from "./try-provider.ts";

const TAG = "Agent providers";
const BASE = "/workspaces/{workspaceId}/agent/custom-model-providers";
const inWorkspace = z.object({ workspaceId: id });
const oneCustom = z.object({ workspaceId: id, slug: providerReference });

/** Providers of a workspace's own: any endpoint that speaks one of the APIs. */
export function createCustomProviderRoutes(deps: AgentDeps): Route[] {
  return [
    route({
      method: "POST",
      path: BASE,
      tag: TAG,
      summary: "Add a provider of your own; it is not called",
      credential: "user",
      needs: "settings:write",
      audit: "agent_provider.created",
      params: inWorkspace,
      body: createCustomProviderBodySchema,
      responses: { 200: customConfigSchema },
      errors: ["forbidden", "egress-denied", "slug-collision", "invalid-agent-model", "agent-providers-exhausted"],
      handle: async ({ principal, params: { workspaceId }, body }) => {
        const row = await createCustomProvider(deps, { caller: principal, workspaceId, body });
        return { status: 200, body: presentConfig(row) };
      },
    }),
    route({
      method: "PUT",
      path: `${BASE}/{slug}`,
      tag: TAG,
      summary: "Change a provider of your own; what is not given stays, secrets too",
      credential: "user",
      needs: "settings:write",
      audit: "agent_provider.updated",
      params: oneCustom,
      body: updateCustomProviderBodySchema,
      responses: { 200: customConfigSchema },
      errors: [
        "forbidden",
        "not-found",
        "egress-denied",
        "invalid-agent-model",
        "invalid-header-keep",
        "stored-secret-base-url-changed",
      ],
      handle: async ({ principal, params: { workspaceId, slug }, body }) => {
        const row = await updateCustomProvider(deps, { caller: principal, workspaceId, slug, body });
        return { status: 200, body: presentConfig(row) };
      },
    }),
    route({
      method: "POST",
      path: `${BASE}/discover-models`,
      tag: TAG,
      summary: "Ask an endpoint that is not saved for its models, at most 128",
      credential: "user",
      needs: "settings:write",
      audit: "agent_provider.models_listed",
      params: inWorkspace,
      body: discoverModelsBodySchema,
      responses: { 200: modelsReplySchema },
      errors: ["forbidden", "egress-denied", "provider-validation-failed", "overloaded"],
      handle: async ({ principal, params: { workspaceId }, body }) => {
        const models = await discoverModels(deps, { caller: principal, workspaceId, body });
        return { status: 200, body: { models } };
      },
    }),
    route({
      method: "POST",
      path: `${BASE}/{slug}/discover-models`,
      tag: TAG,
      summary: "Ask a provider of your own for its models, with what is given instead of what is stored",
      credential: "user",
      needs: "settings:write",
      audit: "agent_provider.models_listed",
      params: oneCustom,
      body: rediscoverModelsBodySchema,
      optionalBody: true,
      responses: { 200: modelsReplySchema },
      errors: [
        "forbidden",
        "not-found",
        "egress-denied",
        "stored-secret-base-url-changed",
        "provider-validation-failed",
        "overloaded",
      ],
      handle: async ({ principal, params: { workspaceId, slug }, body }) => {
        const models = await rediscoverModels(deps, { caller: principal, workspaceId, slug, body: body ?? {} });
        return { status: 200, body: { models } };
      },
    }),
  ];
}
