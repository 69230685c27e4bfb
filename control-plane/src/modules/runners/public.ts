/** What other modules and app.ts may use of runners. */
export { createMachineRoutes } from "./machine-routes.ts";
export { createUserRunnerRoutes } from "./user-routes.ts";
