/** What app.ts may use of access tokens. */
export { createAccessTokenRoutes } from "./routes.ts";
export { Tickets } from "./stream-tickets.ts";
export { createAccessTokens } from "./verify.ts";
