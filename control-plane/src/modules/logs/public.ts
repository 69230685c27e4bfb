/** What other modules and app.ts may use of logs. */
export { Logs } from "./logs.ts";
export { createLogRoutes } from "./routes.ts";
export { attemptOf, type StepLookup } from "./find-attempt.ts";
export { followLog } from "./follow-log.ts";
export type { LogPiece } from "./log-piece.ts";
