/** What other modules and app.ts may use of triggers. */
export { deleteOldTriggerEvents } from "./retention.ts";
export { createTriggerRoutes } from "./routes.ts";
export { MAX_STORED_EVENTS, storeTriggerEvent } from "./store-trigger-event.ts";
