/** What other modules and app.ts may use of integrations. */
export { Checkouts } from "./checkouts.ts";
export { type Git, type GitSource, openGit } from "./git.ts";
export { repositoryId } from "./repository-url.ts";
export { createIntegrationRoutes } from "./routes.ts";
export { Sources } from "./sources.ts";
export { createWebhookRoutes } from "./webhook/routes.ts";
