/** What app.ts may use of registries. */
export { sealedPasswords } from "./credential-for-job.ts";
export { createRegistryRoutes } from "./routes.ts";
