import {
  agentConfigSchema,
  agentConfigsReplySchema,
  configureNamedProviderBodySchema,
  configureProviderBodySchema,
  defaultHarnessBodySchema,
  defaultHarnessReplySchema,
  defaultModelBodySchema,
  defaultProviderBodySchema,
  defaultProviderReplySchema,
  type HarnessId,
  makeDefaultProviderBodySchema,
  providerCatalogReplySchema,
  providerReference,
  testAgentBodySchema,
  testAgentReplySchema,
} from "@shipfox/shared/api/agents";
import { id } from "@shipfox/shared/api/values";
import type { ErrorCode } from "@shipfox/shared/errors";
import { z } from "zod";
import { requireAbility } from "../../http/access.ts";
import { type Route, route } from "../../http/route.ts";
import { presentCatalog } from "./catalog.ts";
import { changeDefaultModel, configureProvider } from "./configure-provider.ts";
import { createCustomProviderRoutes } from "./custom-routes.ts";
import { removeProvider, setDefaultHarness, setDefaultProvider } from "./defaults.ts";
import type { AgentDeps } from "./deps.ts";
import { presentConfig } from "./model.ts";
import { findDefaults, listProviders } from "./store.ts";
import { testProvider } from "./try-provider.ts";

const TAG = "Agent providers";
const BASE = "/workspaces/{workspaceId}/agent";
const inWorkspace = z.object({ workspaceId: id });
const oneProvider = z.object({ workspaceId: id, providerId: providerReference });

const CONFIGURE_ERRORS = [
  "forbidden",
  "provider-unsupported",
  "invalid-credential-fields",
  "value-too-large",
  "invalid-agent-model",
  "provider-validation-failed",
  "egress-denied",
  "overloaded",
] as const satisfies ErrorCode[];

/** What was published under one path and is known under others by now has one route a path and one handler. */
export function createAgentRoutes(deps: AgentDeps): Route[] {
  return [
    ...["/agent/provider-catalog", "/agent/model-provider-catalog"].map(catalogRoute),
    ...[BASE, `${BASE}/model-providers`, `${BASE}/providers`].map((path) => listRoute(deps, path)),
    configureNamedRoute(deps),
    ...["model-providers", "providers"].flatMap((segment) => providerRoutes(deps, `${BASE}/${segment}/{providerId}`)),
    publishedDefaultRoute(deps),
    ...["default-model-provider", "default-provider"].map((segment) => defaultRoute(deps, `${BASE}/${segment}`)),
    harnessRoute(deps),
    testRoute(deps),
    ...createCustomProviderRoutes(deps),
  ];
}

function catalogRoute(path: string): Route {
  return route({
    method: "GET",
    path,
    tag: TAG,
    summary: "The model providers that the server knows, and what each asks for",
    credential: "user",
    needs: "identity",
    responses: { 200: providerCatalogReplySchema },
    handle: async () => ({ status: 200, body: { providers: presentCatalog(), workspace_providers: "enabled" } }),
  });
}

function listRoute({ store, access }: AgentDeps, path: string): Route {
  return route({
    method: "GET",
    path,
    tag: TAG,
    summary: "The configured providers of a workspace and its defaults, without credentials",
    credential: "user",
    needs: "projects:read",
    params: inWorkspace,
    responses: { 200: agentConfigsReplySchema },
    errors: ["forbidden"],
    handle: async ({ principal, params: { workspaceId } }) => {
      const { rows, defaults } = await store.read(async (tx) => {
        await requireAbility(access, tx, principal, workspaceId);
        return { rows: await listProviders(tx, workspaceId), defaults: await findDefaults(tx, workspaceId) };
      });
      const body = {
        configs: rows.map(presentConfig),
        default_provider_id: defaults.provider_id,
        default_harness_id: defaults.harness_id as HarnessId | null,
      };
      return { status: 200, body };
    },
  });
}

function configureNamedRoute(deps: AgentDeps): Route {
  return route({
    method: "PUT",
    path: BASE,
    tag: TAG,
    summary: "Configure a provider, named in the body; it is called once before anything is saved",
    credential: "user",
    needs: "settings:write",
    audit: "agent_provider.configured",
    params: inWorkspace,
    body: configureNamedProviderBodySchema,
    responses: { 200: agentConfigSchema },
    errors: CONFIGURE_ERRORS,
    handle: async ({ principal, params: { workspaceId }, body }) => {
      const row = await configureProvider(deps, {
        caller: principal,
        workspaceId,
        providerId: body.provider_id,
        credentials: body.credentials,
        defaultModel: body.default_model ?? null,
        setAsDefault: body.set_as_default ?? false,
      });
      return { status: 200, body: presentConfig(row) };
    },
  });
}

function providerRoutes(deps: AgentDeps, path: string): Route[] {
  return [
    route({
      method: "PUT",
      path,
      tag: TAG,
      summary: "Configure a provider; it is called once before anything is saved",
      credential: "user",
      needs: "settings:write",
      audit: "agent_provider.configured",
      params: oneProvider,
      body: configureProviderBodySchema,
      responses: { 200: agentConfigSchema },
      errors: CONFIGURE_ERRORS,
      handle: async ({ principal, params, body }) => {
        const row = await configureProvider(deps, {
          caller: principal,
          ...params,
          credentials: body.credentials,
          defaultModel: body.default_model ?? null,
          setAsDefault: body.set_as_default ?? false,
        });
        return { status: 200, body: presentConfig(row) };
      },
    }),
    route({
      method: "DELETE",
      path,
      tag: TAG,
      summary: "Remove a provider with its credentials; a default that named it is cleared",
      credential: "user",
      needs: "settings:write",
      audit: "agent_provider.deleted",
      params: oneProvider,
      responses: { 204: null },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params }) => {
        await removeProvider(deps, { caller: principal, ...params });
        return { status: 204 };
      },
    }),
    route({
      method: "PUT",
      path: `${path}/default-model`,
      tag: TAG,
      summary: "Change the model that a provider uses by default; null for the catalogue's",
      credential: "user",
      needs: "settings:write",
      audit: "agent_provider.default_model_set",
      params: oneProvider,
      body: defaultModelBodySchema,
      responses: { 200: agentConfigSchema },
      errors: [
        "forbidden",
        "not-found",
        "invalid-agent-model",
        "provider-validation-failed",
        "egress-denied",
        "overloaded",
      ],
      handle: async ({ principal, params, body }) => {
        const row = await changeDefaultModel(deps, { caller: principal, ...params, model: body.default_model });
        return { status: 200, body: presentConfig(row) };
      },
    }),
  ];
}

function publishedDefaultRoute(deps: AgentDeps): Route {
  return route({
    method: "POST",
    path: `${BASE}/{providerId}/default`,
    tag: TAG,
    summary: "Make a configured provider the default of the workspace",
    credential: "user",
    needs: "settings:write",
    audit: "agent_provider.made_default",
    params: oneProvider,
    body: makeDefaultProviderBodySchema,
    optionalBody: true,
    responses: { 200: defaultProviderReplySchema },
    errors: ["forbidden", "provider-not-configured"],
    handle: async ({ principal, params }) => {
      await setDefaultProvider(deps, { caller: principal, ...params });
      return { status: 200, body: { default_provider_id: params.providerId } };
    },
  });
}

function defaultRoute(deps: AgentDeps, path: string): Route {
  return route({
    method: "PUT",
    path,
    tag: TAG,
    summary: "Choose the default provider of the workspace; null for none",
    credential: "user",
    needs: "settings:write",
    audit: "agent_provider.made_default",
    params: inWorkspace,
    body: defaultProviderBodySchema,
    responses: { 200: defaultProviderReplySchema },
    errors: ["forbidden", "provider-not-configured"],
    handle: async ({ principal, params, body: { provider_id: providerId } }) => {
      await setDefaultProvider(deps, { caller: principal, ...params, providerId });
      return { status: 200, body: { default_provider_id: providerId } };
    },
  });
}

function harnessRoute(deps: AgentDeps): Route {
  return route({
    method: "PUT",
    path: `${BASE}/default-harness`,
    tag: TAG,
    summary: "Choose the program that runs agent steps by default; null for pi",
    credential: "user",
    needs: "settings:write",
    audit: "agent_harness.made_default",
    params: inWorkspace,
    body: defaultHarnessBodySchema,
    responses: { 200: defaultHarnessReplySchema },
    errors: ["forbidden"],
    handle: async ({ principal, params, body: { harness_id: harnessId } }) => {
      await setDefaultHarness(deps, { caller: principal, ...params, harnessId });
      return { status: 200, body: { default_harness_id: harnessId } };
    },
  });
}

function testRoute(deps: AgentDeps): Route {
  return route({
    method: "POST",
    path: `${BASE}/test`,
    tag: TAG,
    summary: "Call a configured provider, a built-in one with credentials that are not saved, or any endpoint",
    credential: "user",
    needs: "settings:write",
    audit: "agent_provider.tested",
    params: inWorkspace,
    body: testAgentBodySchema,
    responses: { 200: testAgentReplySchema },
    errors: [
      "forbidden",
      "not-found",
      "provider-unsupported",
      "invalid-credential-fields",
      "value-too-large",
      "egress-denied",
      "overloaded",
    ],
    handle: async ({ principal, params: { workspaceId }, body }) => ({
      status: 200,
      body: await testProvider(deps, { caller: principal, workspaceId, body }),
    }),
  });
}
