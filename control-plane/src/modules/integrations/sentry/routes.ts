import {
  connectionSchema,
  deliveryErrorSchema,
  installBodySchema,
  installReplySchema,
} from "@shipfox/shared/api/integrations";
import { sentryConnectBodySchema } from "@shipfox/shared/api/sentry";
import { ApiError } from "@shipfox/shared/errors";
import type { Access } from "../../../http/access.ts";
import { type Route, route } from "../../../http/route.ts";
import type { Clock } from "../../../store/clock.ts";
import type { Store } from "../../../store/store.ts";
import type { StoreDelivery } from "../../triggers/public.ts";
import { answerDelivery, MAX_DELIVERY_BYTES } from "../deliveries.ts";
import { presentConnection, type Providers } from "../model.ts";
import { connectSentry, startInstall } from "./connect.ts";
import { readDelivery } from "./delivery.ts";
import { receiveDelivery } from "./receive.ts";
import { SentryApi } from "./sentry-api.ts";
import type { SentrySettings } from "./settings.ts";

export interface SentryRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly providers: Providers;
  readonly storeDelivery: StoreDelivery;
  /** Null when no Sentry integration is configured: the routes answer 404 then. */
  readonly settings: SentrySettings | null;
}

const TAG = "Integrations: Sentry";

export function createSentryRoutes(deps: SentryRoutesDeps): Route[] {
  const { settings } = deps;
  const sentry = settings === null ? null : { ...deps, settings, api: new SentryApi(settings) };
  const configured = () => {
    if (sentry) return sentry;
    const message =
      "no Sentry integration is configured on this server; an operator sets SHIPFOX_SENTRY_APP_SLUG and what belongs to it";
    throw new ApiError("not-found", message);
  };
  return [
    route({
      method: "POST",
      path: "/integrations/sentry/install",
      tag: TAG,
      summary: "Where a browser installs the Sentry integration",
      credential: "user",
      needs: "settings:write",
      body: installBodySchema,
      responses: { 200: installReplySchema },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, body }) => ({
        status: 200,
        body: { install_url: await startInstall(configured(), principal, body.workspace_id) },
      }),
    }),
    route({
      method: "POST",
      path: "/integrations/sentry/connect",
      tag: TAG,
      summary: "Link the installation with which Sentry sent the browser back",
      credential: "user",
      needs: "settings:write",
      audit: "connection.created",
      body: sentryConnectBodySchema,
      responses: { 200: connectionSchema },
      errors: [
        "forbidden",
        "not-found",
        "sentry-claim-proof-mismatch",
        "sentry-installation-already-linked",
        "sentry-installation-deleted",
        "sentry-verification-in-progress",
        "slug-conflict",
        "provider-rejected",
        "malformed-provider-response",
        "rate-limited",
        "timeout",
        "provider-unavailable",
      ],
      handle: async ({ principal, body }) => {
        const claim = { workspaceId: body.workspace_id, code: body.code, installationId: body.installation_id };
        const connection = await connectSentry(configured(), principal, claim);
        return { status: 200, body: presentConnection(connection, deps.providers) };
      },
    }),
    route({
      method: "POST",
      path: "/webhooks/integrations/sentry",
      tag: TAG,
      summary: "What Sentry tells the integration; signed with its client secret",
      credential: "none",
      rate: "webhook",
      raw: "application/json",
      bodyLimitBytes: MAX_DELIVERY_BYTES,
      responses: { 204: null, 400: deliveryErrorSchema, 401: deliveryErrorSchema },
      errors: ["not-found"],
      handle: ({ request, rawBody }) =>
        answerDelivery(async () => {
          const { signingKey } = configured().settings;
          await receiveDelivery(
            deps,
            readDelivery((name) => request.header(name), rawBody, signingKey),
          );
        }),
    }),
  ];
}
