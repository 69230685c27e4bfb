/** What app.ts may use of registries. */
export { createRegistryRoutes } from "./routes.ts";
