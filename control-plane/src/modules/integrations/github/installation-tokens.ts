import type { Clock } from "../../../store/clock.ts";

/** A token with less life than this is not handed out: what it is for must end before it does. */
const MIN_LIFE_MS = 10 * 60_000;
const MAX_TOKENS = 5_000;

/** What a token may do. `repositoryId` null means every repository of the installation. */
export interface TokenScope {
  readonly installationId: number;
  readonly repositoryId: number | null;
  readonly permissions: Readonly<Partial<Record<"metadata" | "contents" | "checks", "read" | "write">>>;
}

export interface InstallationToken {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

interface Entry {
  readonly installationId: number;
  readonly token: Promise<InstallationToken>;
}

/** Keeps the tokens of installations, in memory only, until shortly before they end. Those who ask for one at once share the call. */
export class InstallationTokens {
  readonly #clock: Clock;
  readonly #mint: (scope: TokenScope) => Promise<InstallationToken>;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, mint: (scope: TokenScope) => Promise<InstallationToken>) {
    this.#clock = clock;
    this.#mint = mint;
  }

  async get(scope: TokenScope): Promise<InstallationToken> {
    const key = JSON.stringify([scope.installationId, scope.repositoryId, scope.permissions]);
    const known = await this.#entries.get(key)?.token;
    if (known && known.expiresAt - this.#clock.now() >= MIN_LIFE_MS) return known;
    const entry = { installationId: scope.installationId, token: this.#mint(scope) };
    this.#keep(key, entry);
    try {
      return await entry.token;
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      throw error;
    }
  }

  forget(installationId: number): void {
    for (const [key, entry] of this.#entries) if (entry.installationId === installationId) this.#entries.delete(key);
  }

  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > MAX_TOKENS) this.#entries.delete(this.#entries.keys().next().value as string);
  }
}
