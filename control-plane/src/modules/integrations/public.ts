/** What other modules and app.ts may use of integrations. */
export { Checkouts } from "./checkouts.ts";
export { type Git, openGit } from "./git.ts";
export { createGitHubRoutes } from "./github/routes.ts";
export { openGitHub } from "./github/open.ts";
export { createGitPushRoutes } from "./polling/routes.ts";
export { Polling } from "./polling/polling.ts";
export { followRepository } from "./polling/store.ts";
export type { Located } from "./located.ts";
export { Providers } from "./model.ts";
export { createIntegrationRoutes } from "./routes.ts";
export { createSentryRoutes } from "./sentry/routes.ts";
export { sentrySettings } from "./sentry/settings.ts";
export { Sources } from "./sources.ts";
export { createWebhookRoutes } from "./webhook/routes.ts";
export { sealedCredentials } from "./sources.ts";
