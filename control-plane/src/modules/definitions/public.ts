/** What other modules and app.ts may use of definitions. */
export { DefinitionReader } from "./definition-reader.ts";
export type { FetchedWorkflows, ProjectsPort, WorkflowSource } from "./ports.ts";
export { presentSync } from "./present.ts";
export { createDefinitionRoutes } from "./routes.ts";
export { DefinitionStarter } from "./start-definition.ts";
export { findSync } from "./store.ts";
export { DefinitionSync } from "./sync.ts";
