/** What app.ts may use of the audit log; entries are written with `tx.audit`, in the transaction of what they tell about. */
export { ForbiddenCalls } from "./forbidden-calls.ts";
export { deleteOldAuditEvents } from "./retention.ts";
export { createAuditRoutes } from "./routes.ts";
