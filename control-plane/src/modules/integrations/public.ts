/** What other modules and app.ts may use of integrations. */
export { type CheckoutSource, Checkouts } from "./checkouts.ts";
export { type ConnectionsDeps } from "./create-connection.ts";
export { Git, type GitOptions, type GitSource, openGit } from "./git.ts";
export { repositoryId, type UrlSettings } from "./repository-url.ts";
export { createIntegrationRoutes } from "./routes.ts";
export { Sources } from "./sources.ts";
export { type WorkflowFile, type WorkflowSet, WORKFLOWS_FOLDER } from "./workflow-files.ts";
