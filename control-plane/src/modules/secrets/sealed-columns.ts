import type { SecretContext } from "./envelope.ts";

/** Where sealed texts are stored. Each module names its own; a root key is forgotten when none of them needs it. */
export interface SealedColumn {
  readonly table: string;
  /** The columns of the primary key, in its order; all are text. */
  readonly key: readonly string[];
  readonly column: string;
  /** What else `context` looks at. */
  readonly beside?: readonly string[];
  /** What the text of a row is bound to, as it was sealed. */
  context(row: Readonly<Record<string, string>>): SecretContext;
}
