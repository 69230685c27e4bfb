import { type Client, createClient } from "@shipfox/client";
import { ClientError } from "@shipfox/client/client-error";
import { expiresSoon, refreshSession, type SignedIn } from "@shipfox/client/session";
import type { TokenSource } from "@shipfox/client/transport";
import { VERSION } from "@shipfox/shared/version";
import { CliError } from "./cli-error.ts";
import { chooseContext, contextForLogin, contextNamed, type CredentialsFile, type StoredContext } from "./contexts.ts";
import { CredentialsStore, configDirectory } from "./credentials.ts";
import { EXIT } from "./exit-codes.ts";
import { DEFAULT_URL, normalizeUrl } from "./server-url.ts";

export interface Session {
  /** Name of the context. */
  readonly context: string;
  readonly url: string;
  readonly email: string;
  readonly tokens: TokenSource;
  readonly api: Client;
}

type Environment = Record<string, string | undefined>;

/** Of the context that commands work in. Throws CliError when nobody is signed in there. */
export async function openSession(env: Environment): Promise<Session> {
  const store = new CredentialsStore(configDirectory(env));
  const file = await store.read();
  const found = chooseContext(file, env);
  if (!found) throw notSignedIn(file, env.SHIPFOX_URL ? normalizeUrl(env.SHIPFOX_URL) : null);
  const { name, stored } = found;
  const { url, email } = stored;
  const tokens = new StoredTokens(store, name, stored);
  return { context: name, url, email, tokens, api: openClient(url, tokens) };
}

/** A person sees at once what went wrong, and decides: nothing is repeated, except by who follows a run. */
export function openClient(url: string, token?: string | TokenSource): Client {
  return createClient({ baseUrl: url, token, retries: 0, userAgent: `shipfox-cli/${VERSION}` });
}

/** Keeps a sign-in and makes its context the current one; answers the context's name. */
export async function saveSession(env: Environment, url: string, email: string, signedIn: SignedIn): Promise<string> {
  const store = new CredentialsStore(configDirectory(env));
  return await store.update((file) => {
    const name = contextForLogin(file, url, env);
    file.current = name;
    file.contexts[name] = {
      url,
      email,
      refresh_token: signedIn.refreshToken ?? "",
      access_token: signedIn.accessToken,
    };
    return name;
  });
}

/** Forgets the context and hands back what was stored, or null. */
export async function forgetSession(env: Environment): Promise<StoredContext | null> {
  const store = new CredentialsStore(configDirectory(env));
  return await store.update((file) => {
    const found = chooseContext(file, env);
    if (!found) return null;
    delete file.contexts[found.name];
    if (file.current === found.name) file.current = null;
    return found.stored;
  });
}

/** The access token of one context, renewed with the rotating refresh token; one renewal at a time, over all processes. */
class StoredTokens implements TokenSource {
  readonly #store: CredentialsStore;
  readonly #context: string;
  readonly #url: string;
  #token: string;
  /** A token of this age that still looks expired means a wrong clock here: it is used, not renewed again. */
  #renewedHere: string | null = null;
  #renewal: Promise<string> | null = null;

  constructor(store: CredentialsStore, context: string, { url, access_token }: StoredContext) {
    this.#store = store;
    this.#context = context;
    this.#url = url;
    this.#token = access_token;
  }

  async current(): Promise<string> {
    if (this.#token !== this.#renewedHere && expiresSoon(this.#token)) return await this.renew(this.#token);
    return this.#token;
  }

  async renew(rejected: string): Promise<string> {
    if (isPersonalToken(rejected)) throw tokenRefused(this.#url);
    if (this.#token !== rejected) return this.#token;
    this.#renewal ??= this.#renew(rejected).finally(() => {
      this.#renewal = null;
    });
    return await this.#renewal;
  }

  async #renew(rejected: string): Promise<string> {
    this.#token = await this.#store.update(async (file: CredentialsFile) => {
      const stored = contextNamed(file, this.#context);
      if (stored?.url !== this.#url) throw notSignedIn(file, this.#url);
      if (stored.access_token !== rejected && !expiresSoon(stored.access_token)) return stored.access_token;
      const signedIn = await this.#refresh(stored);
      stored.access_token = signedIn.accessToken;
      if (signedIn.refreshToken !== null) stored.refresh_token = signedIn.refreshToken;
      return signedIn.accessToken;
    });
    this.#renewedHere = this.#token;
    return this.#token;
  }

  async #refresh(stored: StoredContext): Promise<SignedIn> {
    try {
      return await refreshSession(openClient(this.#url), stored.refresh_token);
    } catch (error) {
      if (!(error instanceof ClientError) || error.status !== 401) throw error;
      throw new CliError("Your session has ended.", {
        exitCode: EXIT.api,
        code: "session-ended",
        next: [`shipfox login --context ${this.#context} --email ${stored.email}`],
        cause: error,
      });
    }
  }
}

/** It came with `shipfox login --token-stdin` and is nothing that could be renewed. */
export function isPersonalToken(token: string): boolean {
  return token.startsWith("sf_pat_");
}

function tokenRefused(url: string): CliError {
  return new CliError("The personal access token was revoked, or has expired.", {
    exitCode: EXIT.api,
    code: "unauthorized",
    next: [`shipfox login --url ${url} --token-stdin < token.txt`],
  });
}

function notSignedIn(file: CredentialsFile, url: string | null): CliError {
  const names = Object.keys(file.contexts);
  const others = names.length === 0 ? [] : [`shipfox contexts use ${names[0]}`, "shipfox contexts list"];
  return new CliError(url === null ? "You are not signed in." : `You are not signed in to ${url}.`, {
    exitCode: EXIT.api,
    code: "not-signed-in",
    next: [`shipfox login --url ${url ?? DEFAULT_URL}`, ...others],
  });
}
