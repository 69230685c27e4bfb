/** What other modules and main.ts may use of secrets. */
export { Envelope } from "./envelope.ts";
export { loadRootKey, RootKeyError } from "./root-key.ts";
