/** What other modules and app.ts may use of events. */
export { createEventChannels } from "./event-channels.ts";
export { EventFeed } from "./event-feed.ts";
export { deleteOldRunEvents } from "./retention.ts";
export { createEventRoutes } from "./routes.ts";
