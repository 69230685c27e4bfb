/** What app.ts may use of outgoing webhooks. */
export { OutgoingWebhooks } from "./outgoing-webhooks.ts";
export { createOutgoingWebhookRoutes } from "./routes.ts";
export { sealedWebhookSecrets } from "./secrets.ts";
