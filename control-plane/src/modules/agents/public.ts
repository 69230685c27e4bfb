/** What app.ts may use of agents. */
export { createAgentRoutes } from "./routes.ts";
export { parseProviderUrls } from "./provider-urls.ts";
export { sealedProviderSecrets } from "./targets.ts";
export { Prober } from "./probe.ts";
