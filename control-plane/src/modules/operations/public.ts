/** What app.ts may use of the administration of the server. */
export { createOperationsRoutes } from "./routes.ts";
export { ServerSettings } from "./server-settings.ts";
