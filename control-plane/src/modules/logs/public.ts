export type { StepLookup } from "./find-attempt.ts";
export { type Appended, type LogSettings, Logs, type LogsDeps } from "./logs.ts";
export type { StreamRef } from "./model.ts";
export { createLogRoutes, type LogRoutesDeps } from "./routes.ts";
