import {
  createRegistryCredentialBodySchema,
  registryCredentialSchema,
  registryCredentialsReplySchema,
} from "@shipfox/shared/api/registries";
import {
  scopedValuesQuerySchema,
  scopeQuerySchema,
  secretsReplySchema,
  setSecretReplySchema,
  setSecretsReplySchema,
  setValueBodySchema,
  setValuesBodySchema,
  setVariableReplySchema,
  setVariablesReplySchema,
  variableReplySchema,
  variablesReplySchema,
} from "@shipfox/shared/api/scoped-values";
import {
  createWebhookBodySchema,
  deliveriesQuerySchema,
  deliveriesReplySchema,
  updateWebhookBodySchema,
  webhookDeliverySchema,
  webhookSchema,
  webhooksReplySchema,
  webhookWithSecretSchema,
} from "@shipfox/shared/api/webhooks";
import type { Operations } from "../operation.ts";

export const webhooks = {
  create: {
    method: "POST",
    path: "/workspaces/{workspaceId}/webhooks",
    body: createWebhookBodySchema,
    reply: webhookWithSecretSchema,
    keyed: true,
  },
  list: { method: "GET", path: "/workspaces/{workspaceId}/webhooks", reply: webhooksReplySchema },
  get: { method: "GET", path: "/workspaces/{workspaceId}/webhooks/{webhookId}", reply: webhookSchema },
  update: {
    method: "PATCH",
    path: "/workspaces/{workspaceId}/webhooks/{webhookId}",
    body: updateWebhookBodySchema,
    reply: webhookWithSecretSchema,
  },
  delete: { method: "DELETE", path: "/workspaces/{workspaceId}/webhooks/{webhookId}", reply: null },
  deliveries: {
    method: "GET",
    path: "/workspaces/{workspaceId}/webhooks/{webhookId}/deliveries",
    query: deliveriesQuerySchema,
    reply: deliveriesReplySchema,
    items: "deliveries",
  },
  redeliver: {
    method: "POST",
    path: "/workspaces/{workspaceId}/webhooks/{webhookId}/deliveries/{deliveryId}/redeliver",
    reply: webhookDeliverySchema,
    keyed: true,
  },
  test: {
    method: "POST",
    path: "/workspaces/{workspaceId}/webhooks/{webhookId}/test",
    reply: webhookDeliverySchema,
    keyed: true,
  },
} as const satisfies Operations;

export const secrets = {
  list: {
    method: "GET",
    path: "/workspaces/{workspaceId}/secrets",
    query: scopedValuesQuerySchema,
    reply: secretsReplySchema,
    items: "secrets",
  },
  set: {
    method: "PUT",
    path: "/workspaces/{workspaceId}/secrets/{key}",
    body: setValueBodySchema,
    reply: setSecretReplySchema,
  },
  setAll: {
    method: "POST",
    path: "/workspaces/{workspaceId}/secrets:batch",
    body: setValuesBodySchema,
    reply: setSecretsReplySchema,
    keyed: true,
  },
  delete: { method: "DELETE", path: "/workspaces/{workspaceId}/secrets/{key}", query: scopeQuerySchema, reply: null },
} as const satisfies Operations;

export const variables = {
  list: {
    method: "GET",
    path: "/workspaces/{workspaceId}/variables",
    query: scopedValuesQuerySchema,
    reply: variablesReplySchema,
    items: "variables",
  },
  get: {
    method: "GET",
    path: "/workspaces/{workspaceId}/variables/{key}",
    query: scopeQuerySchema,
    reply: variableReplySchema,
  },
  set: {
    method: "PUT",
    path: "/workspaces/{workspaceId}/variables/{key}",
    body: setValueBodySchema,
    reply: setVariableReplySchema,
  },
  setAll: {
    method: "POST",
    path: "/workspaces/{workspaceId}/variables:batch",
    body: setValuesBodySchema,
    reply: setVariablesReplySchema,
    keyed: true,
  },
  delete: { method: "DELETE", path: "/workspaces/{workspaceId}/variables/{key}", query: scopeQuerySchema, reply: null },
} as const satisfies Operations;

export const registries = {
  create: {
    method: "POST",
    path: "/workspaces/{workspaceId}/registry-credentials",
    body: createRegistryCredentialBodySchema,
    reply: registryCredentialSchema,
    keyed: true,
  },
  list: {
    method: "GET",
    path: "/workspaces/{workspaceId}/registry-credentials",
    reply: registryCredentialsReplySchema,
  },
  delete: { method: "DELETE", path: "/workspaces/{workspaceId}/registry-credentials/{credentialId}", reply: null },
} as const satisfies Operations;
