/** What other modules and app.ts may use of triggers. */
export { createFilterEvaluation } from "./filters.ts";
export { EventRouting } from "./event-routing.ts";
export type { StartTriggered, TriggeredRun } from "./ports.ts";
export { deleteOldTriggerEvents } from "./retention.ts";
export { createTriggerRoutes } from "./routes.ts";
export { Schedules } from "./schedules.ts";
export { RunEndings } from "./run-endings.ts";
export {
  type EventRepository,
  MAX_STORED_EVENTS,
  type StoreDelivery,
  storeTriggerEvent,
} from "./store-trigger-event.ts";
export { Subscriptions } from "./subscriptions.ts";
export { waitForSync } from "./wait-for-sync.ts";
