/** What other modules and app.ts may use of runners. */
export { createMachineRoutes } from "./machine-routes.ts";
export { shutRunnersOut } from "./manage-runners.ts";
export { createUserRunnerRoutes } from "./user-routes.ts";
