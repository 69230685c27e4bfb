/** What app.ts may use of access tokens. */
export { createAccessTokens } from "./verify.ts";
