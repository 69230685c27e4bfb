import {
  connectionSchema,
  connectionsQuerySchema,
  connectionsReplySchema,
  createGitConnectionBodySchema,
  githubCallbackQuerySchema,
  installBodySchema,
  installReplySchema,
  providersQuerySchema,
  providersReplySchema,
  repositoriesQuerySchema,
  repositoriesReplySchema,
  updateConnectionBodySchema,
} from "@shipfox/shared/api/integrations";
import { sentryConnectBodySchema } from "@shipfox/shared/api/sentry";
import {
  approveTriggerEventBodySchema,
  triggerEventDetailSchema,
  triggerEventSchema,
  triggerEventsQuerySchema,
  triggerEventsReplySchema,
  triggerFacetsQuerySchema,
  triggerFacetsReplySchema,
} from "@shipfox/shared/api/trigger-events";
import {
  createWebhookConnectionBodySchema,
  updateWebhookConnectionBodySchema,
  webhookConnectionSchema,
  webhookConnectionsQuerySchema,
  webhookConnectionsReplySchema,
} from "@shipfox/shared/api/webhook-connections";
import type { Operations } from "../operation.ts";

export const integrations = {
  providers: {
    method: "GET",
    path: "/integration-providers",
    query: providersQuerySchema,
    reply: providersReplySchema,
  },
  connections: {
    method: "GET",
    path: "/integration-connections",
    query: connectionsQuerySchema,
    reply: connectionsReplySchema,
  },
  connectGit: {
    method: "POST",
    path: "/integrations/git/connections",
    body: createGitConnectionBodySchema,
    reply: connectionSchema,
    keyed: true,
  },
  updateConnection: {
    method: "PATCH",
    path: "/integration-connections/{connectionId}",
    body: updateConnectionBodySchema,
    reply: connectionSchema,
  },
  deleteConnection: { method: "DELETE", path: "/integration-connections/{connectionId}", reply: null },
  repositories: {
    method: "GET",
    path: "/integration-connections/{connectionId}/repositories",
    query: repositoriesQuerySchema,
    reply: repositoriesReplySchema,
    items: "repositories",
  },
  installGitHub: {
    method: "POST",
    path: "/integrations/github/install",
    body: installBodySchema,
    reply: installReplySchema,
  },
  linkGitHub: {
    method: "GET",
    path: "/integrations/github/callback/api",
    query: githubCallbackQuerySchema,
    reply: connectionSchema,
  },
  installSentry: {
    method: "POST",
    path: "/integrations/sentry/install",
    body: installBodySchema,
    reply: installReplySchema,
  },
  linkSentry: {
    method: "POST",
    path: "/integrations/sentry/connect",
    body: sentryConnectBodySchema,
    reply: connectionSchema,
    keyed: true,
  },
} as const satisfies Operations;

export const customWebhooks = {
  create: {
    method: "POST",
    path: "/integrations/webhook/connections",
    body: createWebhookConnectionBodySchema,
    reply: webhookConnectionSchema,
    keyed: true,
  },
  list: {
    method: "GET",
    path: "/integrations/webhook/connections",
    query: webhookConnectionsQuerySchema,
    reply: webhookConnectionsReplySchema,
  },
  update: {
    method: "PATCH",
    path: "/integrations/webhook/connections/{connectionId}",
    body: updateWebhookConnectionBodySchema,
    reply: webhookConnectionSchema,
  },
  delete: { method: "DELETE", path: "/integrations/webhook/connections/{connectionId}", reply: null },
} as const satisfies Operations;

export const triggerEvents = {
  list: {
    method: "GET",
    path: "/trigger-events",
    query: triggerEventsQuerySchema,
    reply: triggerEventsReplySchema,
    items: "trigger_events",
  },
  facets: {
    method: "GET",
    path: "/trigger-events/facets",
    query: triggerFacetsQuerySchema,
    reply: triggerFacetsReplySchema,
  },
  get: { method: "GET", path: "/trigger-events/{eventId}", reply: triggerEventDetailSchema },
  approve: {
    method: "POST",
    path: "/trigger-events/{eventId}/approve",
    body: approveTriggerEventBodySchema,
    reply: triggerEventSchema,
    keyed: true,
  },
  replay: { method: "POST", path: "/trigger-events/{eventId}/replay", reply: triggerEventSchema, keyed: true },
} as const satisfies Operations;
