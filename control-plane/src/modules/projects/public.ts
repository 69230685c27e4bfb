import type { ProjectsPort } from "../definitions/public.ts";
import { workspaceOf } from "./store.ts";

/** What app.ts may use of projects. */
export { createProjectRoutes } from "./routes.ts";
export { createWorkflowSource } from "./workflow-source.ts";

/** For the definitions, which lie below. */
export const projects: ProjectsPort = { workspaceOf };
