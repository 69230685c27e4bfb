/** What other modules and app.ts may use of definitions. */
export type { FetchedWorkflows, ProjectsPort, StartRunPort, WorkflowSource } from "./ports.ts";
export { presentSync } from "./present.ts";
export { createDefinitionRoutes, type DefinitionRoutesDeps } from "./routes.ts";
export { findSync } from "./store.ts";
export { DefinitionSync, type DefinitionSyncDeps } from "./sync.ts";
