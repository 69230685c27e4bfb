/** What app.ts and the commands may use of the administration of the server. */
export { listAdmins, promote } from "./offline-admins.ts";
export { createOperationsRoutes } from "./routes.ts";
export { ServerSettings } from "./server-settings.ts";
