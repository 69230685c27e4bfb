/** What other modules and main.ts may use of secrets. */
export { Envelope, EnvelopeError, type SecretContext } from "./envelope.ts";
export { loadRootKey, ROOT_KEY_FILE, RootKeyError } from "./root-key.ts";
