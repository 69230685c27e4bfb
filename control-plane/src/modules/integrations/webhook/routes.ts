import {
  createWebhookConnectionBodySchema,
  updateWebhookConnectionBodySchema,
  webhookCallReplySchema,
  webhookConnectionSchema,
  webhookConnectionsQuerySchema,
  webhookConnectionsReplySchema,
} from "@shipfox/shared/api/webhook-connections";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { requireAbility } from "../../../http/access.ts";
import { type Route, route } from "../../../http/route.ts";
import type { StoreDelivery } from "../../triggers/public.ts";
import { CallRate } from "./call-rate.ts";
import {
  changeWebhookConnection,
  createWebhookConnection,
  deleteWebhookConnection,
  presentWebhookConnection,
  type WebhookConnectionsDeps,
} from "./connections.ts";
import { CALL_MEDIA_TYPES } from "./read-call.ts";
import { receiveCall } from "./receive.ts";
import { listWebhookConnections } from "./store.ts";

export interface WebhookRoutesDeps extends WebhookConnectionsDeps {
  readonly storeDelivery: StoreDelivery;
  /** Under which senders reach this server, without a slash at the end. */
  readonly publicUrl: string;
  /** Of one connection; 0 for any number. */
  readonly callsPerMinute: number;
}

const TAG = "Integrations: custom webhooks";
/** Source: the published API. */
const MAX_CALL_BYTES = 512 * 1024;
const ALL = "/integrations/webhook/connections";
const byId = z.object({ connectionId: id });

/** Custom webhooks: whatever can post JSON, a form or text to a URL. */
export function createWebhookRoutes(deps: WebhookRoutesDeps): Route[] {
  const { store, clock, access, publicUrl } = deps;
  const rate = new CallRate(clock, deps.callsPerMinute);
  return [
    route({
      method: "POST",
      path: ALL,
      tag: TAG,
      summary: "Make a URL that takes events",
      credential: "user",
      needs: "settings:write",
      audit: "connection.created",
      body: createWebhookConnectionBodySchema,
      responses: { 201: webhookConnectionSchema },
      errors: ["forbidden", "slug-already-exists"],
      handle: async ({ principal, body }) => {
        const row = await createWebhookConnection(deps, principal, body);
        return { status: 201, body: presentWebhookConnection(row, publicUrl) };
      },
    }),
    route({
      method: "GET",
      path: ALL,
      tag: TAG,
      summary: "A workspace's custom webhooks with their URLs, oldest first",
      credential: "user",
      needs: "projects:read",
      query: webhookConnectionsQuerySchema,
      responses: { 200: webhookConnectionsReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, query: { workspace_id: workspaceId } }) => {
        const rows = await store.read(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          return listWebhookConnections(tx, workspaceId);
        });
        return { status: 200, body: { connections: rows.map((row) => presentWebhookConnection(row, publicUrl)) } };
      },
    }),
    route({
      method: "PATCH",
      path: `${ALL}/{connectionId}`,
      tag: TAG,
      summary: "Enable or disable a custom webhook, or change its secret",
      credential: "user",
      needs: "settings:write",
      audit: "connection.updated",
      params: byId,
      body: updateWebhookConnectionBodySchema,
      responses: { 200: webhookConnectionSchema },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params, body }) => {
        const row = await changeWebhookConnection(deps, principal, params.connectionId, body);
        return { status: 200, body: presentWebhookConnection(row, publicUrl) };
      },
    }),
    route({
      method: "DELETE",
      path: `${ALL}/{connectionId}`,
      tag: TAG,
      summary: "Remove a custom webhook; its URL answers 404 from now on",
      credential: "user",
      needs: "settings:write",
      audit: "connection.deleted",
      params: byId,
      responses: { 204: null },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params }) => {
        await deleteWebhookConnection(deps, principal, params.connectionId);
        return { status: 204 };
      },
    }),
    route({
      method: "POST",
      path: "/webhook/{connectionId}",
      tag: TAG,
      summary: "Send an event; the URL is the credential, and the signature where the connection has a secret",
      credential: "none",
      rate: "webhook",
      params: byId,
      raw: CALL_MEDIA_TYPES,
      bodyLimitBytes: MAX_CALL_BYTES,
      responses: { 202: webhookCallReplySchema },
      errors: [
        "unauthorized",
        "not-found",
        "malformed-payload",
        "invalid-webhook-request",
        "delivery-id-too-long",
        "rate-limited",
      ],
      handle: async ({ params, request, rawBody }) => {
        const call = { method: "POST", headers: request.headers, query: request.query, body: rawBody };
        return { status: 202, body: { delivery_id: await receiveCall({ ...deps, rate }, params.connectionId, call) } };
      },
    }),
  ];
}
