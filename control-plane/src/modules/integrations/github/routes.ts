import {
  connectionSchema,
  deliveryErrorSchema,
  githubCallbackQuerySchema,
  installBodySchema,
  installReplySchema,
} from "@shipfox/shared/api/integrations";
import { ApiError } from "@shipfox/shared/errors";
import type { Access } from "../../../http/access.ts";
import { type Route, route } from "../../../http/route.ts";
import type { Clock } from "../../../store/clock.ts";
import type { Store } from "../../../store/store.ts";
import type { StoreDelivery } from "../../triggers/public.ts";
import { answerDelivery, MAX_DELIVERY_BYTES, PROVIDER_ERRORS } from "../deliveries.ts";
import { presentConnection, type Providers } from "../model.ts";
import type { Syncs } from "../sync-projects.ts";
import type { GitHubApp } from "./app.ts";
import { readDelivery } from "./delivery.ts";
import { finishInstall, INSTALLED, startInstall } from "./install.ts";
import { receiveDelivery } from "./receive.ts";

const TAG = "Integrations: GitHub";

export interface GitHubRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly providers: Providers;
  readonly syncs: Syncs;
  readonly storeDelivery: StoreDelivery;
  /** Null when no GitHub App is configured: the routes answer 404 then. */
  readonly app: GitHubApp | null;
  readonly onLinked: (workspaceId: string) => void;
}

export function createGitHubRoutes(deps: GitHubRoutesDeps): Route[] {
  const configured = () => {
    if (deps.app) return { ...deps, app: deps.app };
    throw new ApiError(
      "not-found",
      "no GitHub App is configured on this server; an operator sets SHIPFOX_GITHUB_APP_ID and what belongs to it",
    );
  };
  return [
    route({
      method: "POST",
      path: "/integrations/github/install",
      tag: TAG,
      summary: "Where a browser installs the GitHub App for a workspace",
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
      method: "GET",
      path: "/integrations/github/callback/api",
      tag: TAG,
      summary: "Link the installation with which GitHub sent the browser back",
      credential: "user",
      needs: "settings:write",
      audit: INSTALLED,
      query: githubCallbackQuerySchema,
      responses: { 200: connectionSchema },
      errors: [
        "forbidden",
        "not-found",
        "invalid-github-install-state",
        "github-install-state-actor-mismatch",
        "github-installation-not-authorized",
        "github-installation-already-linked",
        "slug-conflict",
        "installation-not-found",
        ...PROVIDER_ERRORS,
      ],
      handle: async ({ principal, query }) => {
        const { code, state, installation_id: installationId } = query;
        const connection = await finishInstall(configured(), principal, { code, state, installationId });
        return { status: 200, body: presentConnection(connection, deps.providers) };
      },
    }),
    route({
      method: "POST",
      path: "/webhooks/integrations/github",
      tag: TAG,
      summary: "What GitHub tells the app; signed with its webhook secret",
      credential: "none",
      rate: "webhook",
      raw: "application/json",
      bodyLimitBytes: MAX_DELIVERY_BYTES,
      responses: { 204: null, 400: deliveryErrorSchema, 401: deliveryErrorSchema },
      errors: ["not-found"],
      handle: ({ request, rawBody }) =>
        answerDelivery(async () => {
          const { app } = configured();
          const delivery = readDelivery((name) => request.header(name), rawBody, app.settings.webhookSecrets);
          await receiveDelivery({ ...deps, app }, delivery);
        }),
    }),
  ];
}
