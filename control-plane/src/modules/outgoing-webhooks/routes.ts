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
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { requireAbility } from "../../http/access.ts";
import { byCreation, decodeCursor, pageOf } from "../../http/cursor.ts";
import { type Route, route } from "../../http/route.ts";
import { changeWebhook, createWebhook, type ManageDeps, removeWebhook, requireWebhook } from "./manage-webhooks.ts";
import { presentDelivery, presentWebhook } from "./present.ts";
import { redeliver, sendTest } from "./send-again.ts";
import { listDeliveries, listWebhooks } from "./store.ts";

const TAG = "Webhooks";
const ALL = "/workspaces/{workspaceId}/webhooks";
const ONE = `${ALL}/{webhookId}`;
const inWorkspace = z.object({ workspaceId: id });
const oneWebhook = z.object({ workspaceId: id, webhookId: id });

/** What goes out: a workspace's run and job events, to receivers that its admins choose. */
export function createOutgoingWebhookRoutes(deps: ManageDeps): Route[] {
  const { store, access } = deps;
  return [
    route({
      method: "POST",
      path: ALL,
      tag: TAG,
      summary: "Have run and job events sent to a URL, signed; the secret is answered this once",
      credential: "user",
      needs: "settings:write",
      audit: "webhook.created",
      params: inWorkspace,
      body: createWebhookBodySchema,
      responses: { 201: webhookWithSecretSchema },
      errors: ["forbidden", "invalid-webhook-url", "webhooks-exhausted"],
      handle: async ({ principal, params: { workspaceId }, body }) => {
        const { webhook, secret } = await createWebhook(deps, principal, workspaceId, body);
        return { status: 201, headers: NO_STORE, body: { ...presentWebhook(webhook), secret } };
      },
    }),
    route({
      method: "GET",
      path: ALL,
      tag: TAG,
      summary: "A workspace's webhooks, oldest first",
      credential: "user",
      needs: "settings:read",
      params: inWorkspace,
      responses: { 200: webhooksReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId } }) => {
        const rows = await store.read(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          return listWebhooks(tx, workspaceId);
        });
        return { status: 200, body: { webhooks: rows.map(presentWebhook) } };
      },
    }),
    route({
      method: "GET",
      path: ONE,
      tag: TAG,
      summary: "One webhook; when it was disabled, why",
      credential: "user",
      needs: "settings:read",
      params: oneWebhook,
      responses: { 200: webhookSchema },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params }) => {
        const row = await store.read((tx) => requireWebhook(access, tx, principal, params));
        return { status: 200, body: presentWebhook(row) };
      },
    }),
    route({
      method: "PATCH",
      path: ONE,
      tag: TAG,
      summary: "Change, enable or disable a webhook, or give it a new secret",
      credential: "user",
      needs: "settings:write",
      audit: "webhook.updated",
      params: oneWebhook,
      body: updateWebhookBodySchema,
      responses: { 200: webhookWithSecretSchema },
      errors: ["forbidden", "not-found", "invalid-webhook-url"],
      handle: async ({ principal, params, body }) => {
        const { webhook, secret } = await changeWebhook(deps, principal, params, body);
        const shown = secret === null ? {} : { secret };
        return { status: 200, headers: NO_STORE, body: { ...presentWebhook(webhook), ...shown } };
      },
    }),
    route({
      method: "DELETE",
      path: ONE,
      tag: TAG,
      summary: "Remove a webhook and its deliveries",
      credential: "user",
      needs: "settings:write",
      audit: "webhook.deleted",
      params: oneWebhook,
      responses: { 204: null },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params }) => {
        await removeWebhook(deps, principal, params);
        return { status: 204 };
      },
    }),
    route({
      method: "GET",
      path: `${ONE}/deliveries`,
      tag: TAG,
      summary: "What was sent, newest first, with what the receiver answered",
      credential: "user",
      needs: "settings:read",
      params: oneWebhook,
      query: deliveriesQuerySchema,
      responses: { 200: deliveriesReplySchema },
      errors: ["forbidden", "not-found", "invalid-cursor"],
      handle: async ({ principal, params, query }) => {
        const { status, limit, cursor } = query;
        const before = cursor === undefined ? null : decodeCursor(cursor, ["number", "string"]);
        const rows = await store.read(async (tx) => {
          const webhook = await requireWebhook(access, tx, principal, params);
          return listDeliveries(tx, webhook.id, { status, before, limit: limit + 1 });
        });
        const { page, nextCursor } = pageOf(rows, limit, byCreation);
        return { status: 200, body: { deliveries: page.map(presentDelivery), next_cursor: nextCursor } };
      },
    }),
    route({
      method: "POST",
      path: `${ONE}/deliveries/{deliveryId}/redeliver`,
      tag: TAG,
      summary: "Send a delivery again, with the same id",
      credential: "user",
      needs: "settings:write",
      audit: "webhook.redelivered",
      params: z.object({ ...oneWebhook.shape, deliveryId: id }),
      responses: { 202: webhookDeliverySchema },
      errors: ["forbidden", "not-found", "webhook-disabled"],
      handle: async ({ principal, params }) => ({
        status: 202,
        body: presentDelivery(await redeliver(deps, principal, params, params.deliveryId)),
      }),
    }),
    route({
      method: "POST",
      path: `${ONE}/test`,
      tag: TAG,
      summary: "Send an event that tells of nothing",
      credential: "user",
      needs: "settings:write",
      audit: "webhook.tested",
      params: oneWebhook,
      responses: { 202: webhookDeliverySchema },
      errors: ["forbidden", "not-found", "webhook-disabled"],
      handle: async ({ principal, params }) => ({
        status: 202,
        body: presentDelivery(await sendTest(deps, principal, params)),
      }),
    }),
  ];
}

const NO_STORE = { "cache-control": "no-store" };
