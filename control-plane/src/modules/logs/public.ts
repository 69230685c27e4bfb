/** What other modules and app.ts may use of logs. */
export { Logs } from "./logs.ts";
export { createLogRoutes } from "./routes.ts";
