/** What app.ts may use of agents. */
export { createAgentRoutes } from "./routes.ts";
export { parseProviderUrls } from "./provider-urls.ts";
export { Prober } from "./probe.ts";
