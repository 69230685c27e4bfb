import { type Client, createClient } from "@shipfox/client";
import { ClientError } from "@shipfox/client/client-error";
import { expiresSoon, refreshSession, type SignedIn } from "@shipfox/client/session";
import type { TokenSource } from "@shipfox/client/transport";
import { VERSION } from "@shipfox/shared/version";
import { CliError, usageError } from "./cli-error.ts";
import { type CredentialsFile, CredentialsStore, configDirectory, type InstanceCredentials } from "./credentials.ts";
import { EXIT } from "./exit-codes.ts";

export const DEFAULT_URL = "http://localhost:16101";

export interface Session {
  readonly url: string;
  readonly email: string;
  readonly api: Client;
}

type Environment = Record<string, string | undefined>;

/** The signed-in instance: SHIPFOX_URL, or the one of the last login. Throws CliError when nobody is signed in there. */
export async function openSession(env: Environment): Promise<Session> {
  const store = new CredentialsStore(configDirectory(env));
  const file = await store.read();
  const url = env.SHIPFOX_URL ? normalizeUrl(env.SHIPFOX_URL) : file.current_url;
  const instance = url === null ? undefined : file.instances[url];
  if (url === null || !instance) throw notSignedIn(url);
  const tokens = new StoredTokens(store, url, instance.access_token);
  return { url, email: instance.email, api: openClient(url, tokens) };
}

/** A person sees at once what went wrong, and decides: nothing is repeated, except by who follows a run. */
export function openClient(url: string, token?: string | TokenSource): Client {
  return createClient({ baseUrl: url, token, retries: 0, userAgent: `shipfox-cli/${VERSION}` });
}

/** Base URL without a trailing slash. Throws a usage error that says what is wrong with the address. */
export function normalizeUrl(text: string): string {
  const address = text.trim();
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(address)) {
    const guess = URL.parse(`http://${address}`);
    throw wrongUrl(
      `The address ${JSON.stringify(address)} does not begin with http:// or https://.`,
      guess && guess.username === "" ? `${schemeFor(guess)}//${guess.host}` : DEFAULT_URL,
    );
  }
  const url = URL.parse(address);
  if (!url || url.host === "") throw wrongUrl("This is no address of a control plane.", DEFAULT_URL);
  if (url.username !== "" || url.password !== "")
    throw wrongUrl("The address must not hold a user name or a password; they are asked for.", url.origin);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw wrongUrl(`The address begins with ${url.protocol}//; expected http:// or https://.`, `http://${url.host}`);
  if (url.search !== "" || url.hash !== "")
    throw wrongUrl("The address must end before ? and #.", `${url.origin}${url.pathname}`.replace(/\/+$/, ""));
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

function schemeFor({ hostname }: URL): "http:" | "https:" {
  return hostname === "localhost" || hostname === "[::1]" || /^[\d.]+$/.test(hostname) ? "http:" : "https:";
}

function wrongUrl(message: string, suggestion: string): CliError {
  return usageError(message, `shipfox login --url ${suggestion}`);
}

export async function saveSession(env: Environment, url: string, email: string, signedIn: SignedIn): Promise<void> {
  const store = new CredentialsStore(configDirectory(env));
  await store.update((file) => {
    file.current_url = url;
    file.instances[url] = {
      email,
      refresh_token: signedIn.refreshToken ?? "",
      access_token: signedIn.accessToken,
    };
  });
}

/** Forgets the instance and hands back what was stored, or null. */
export async function forgetSession(env: Environment): Promise<{ url: string; refreshToken: string } | null> {
  const store = new CredentialsStore(configDirectory(env));
  return await store.update((file) => {
    const url = env.SHIPFOX_URL ? normalizeUrl(env.SHIPFOX_URL) : file.current_url;
    const instance = url === null ? undefined : file.instances[url];
    if (url === null || !instance) return null;
    delete file.instances[url];
    if (file.current_url === url) file.current_url = null;
    return { url, refreshToken: instance.refresh_token };
  });
}

/** The access token of one instance, renewed with the rotating refresh token; one renewal at a time, over all processes. */
class StoredTokens implements TokenSource {
  readonly #store: CredentialsStore;
  readonly #url: string;
  #token: string;
  /** A token of this age that still looks expired means a wrong clock here: it is used, not renewed again. */
  #renewedHere: string | null = null;
  #renewal: Promise<string> | null = null;

  constructor(store: CredentialsStore, url: string, token: string) {
    this.#store = store;
    this.#url = url;
    this.#token = token;
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
      const stored = file.instances[this.#url];
      if (!stored) throw notSignedIn(this.#url);
      if (stored.access_token !== rejected && !expiresSoon(stored.access_token)) return stored.access_token;
      const signedIn = await this.#refresh(stored);
      stored.access_token = signedIn.accessToken;
      if (signedIn.refreshToken !== null) stored.refresh_token = signedIn.refreshToken;
      return signedIn.accessToken;
    });
    this.#renewedHere = this.#token;
    return this.#token;
  }

  async #refresh(stored: InstanceCredentials): Promise<SignedIn> {
    try {
      return await refreshSession(openClient(this.#url), stored.refresh_token);
    } catch (error) {
      if (!(error instanceof ClientError) || error.status !== 401) throw error;
      throw new CliError("Your session has ended.", {
        exitCode: EXIT.api,
        code: "session-ended",
        next: [`shipfox login --url ${this.#url} --email ${stored.email}`],
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

function notSignedIn(url: string | null): CliError {
  return new CliError(url === null ? "You are not signed in." : `You are not signed in to ${url}.`, {
    exitCode: EXIT.api,
    code: "not-signed-in",
    next: [`shipfox login --url ${url ?? DEFAULT_URL}`],
  });
}
