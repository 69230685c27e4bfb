/**
 * The keys from which all others are derived. They change while the server runs: whoever derives from them looks at
 * `version` again at each use.
 */
export interface RootKeys {
  /** Grows with every change. */
  readonly version: number;
  /** The current one first; with it is sealed and signed. The others still open. */
  readonly all: readonly Buffer[];
  /** Those whose tokens are still good, the current one first. */
  readonly forTokens: readonly Buffer[];
}

export function asRootKeys(keys: Buffer | RootKeys): RootKeys {
  return Buffer.isBuffer(keys) ? { version: 0, all: [keys], forTokens: [keys] } : keys;
}
