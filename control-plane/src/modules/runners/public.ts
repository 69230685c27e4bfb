/** What other modules and app.ts may use of runners. */
export { createMachineRoutes } from "./machine-routes.ts";
export { revokeRunner, shutRunnersOut } from "./manage-runners.ts";
export { removeOldRunners } from "./old-runners.ts";
export type { InstancesPort } from "./register.ts";
export { createUserRunnerRoutes } from "./user-routes.ts";
