/** What other modules and main.ts may use of secrets. */
export { Envelope } from "./envelope.ts";
export { KeyRing } from "./key-ring.ts";
export { Reseal } from "./reseal.ts";
export { RootKeyError } from "./root-key.ts";
export { createRootKeyRoutes } from "./root-key-routes.ts";
export type { SealedColumn } from "./sealed-columns.ts";
/** Secrets that two sides share to sign what one sends the other. */
export { openSecrets, sealNextSecret } from "./rotating-secret.ts";
export { createSecretRoutes } from "./routes.ts";
/** For variables, which are kept like secrets, but readable. */
export { listValues } from "./list-values.ts";
export { ScopedValues } from "./scoped-values.ts";
export { auditValues, checkEntries, requireScope, type ScopedValuesDeps, setValues } from "./write-values.ts";
export { sealedSecrets, StepSecrets } from "./step-secrets.ts";
