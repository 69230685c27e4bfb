import type { User } from "@shipfox/shared/api/accounts";
import type { Client } from "./client.ts";
import { ClientError } from "./client-error.ts";
import type { Reply, TokenSource } from "./transport.ts";

const REFRESH_COOKIE = "shipfox_refresh_token";
const REFRESH_TIMEOUT_MS = 15_000;
/** A token that ends within this time is renewed before it is used. */
const RENEW_BEFORE_EXPIRY_MS = 30_000;

export interface SignedIn {
  readonly accessToken: string;
  /** Null when the server kept the refresh token that was sent (its grace after a rotation). */
  readonly refreshToken: string | null;
  readonly user: User;
  readonly hasWorkspace: boolean;
}

/** Of an answer that signs in: `client.auth.logIn.reply(…)`, say. */
export function signedIn(reply: Reply<{ token: string; user: User; membership: unknown }>): SignedIn {
  const { token, user, membership } = reply.body;
  return { accessToken: token, refreshToken: refreshCookie(reply.headers), user, hasWorkspace: membership !== null };
}

/** A code was mailed that proves the address: `client.auth.verifyEmail` takes it. */
export interface EmailChallenge {
  readonly challengeId: string;
}

/** Where mail is configured a new account has to be proven by a code first. */
export async function signUp(
  client: Client,
  account: Parameters<Client["auth"]["signUp"]>[0],
): Promise<SignedIn | EmailChallenge> {
  const reply = await client.auth.signUp.reply(account);
  const { token, user, membership = null, email_challenge: challenge } = reply.body;
  if (token !== undefined) return signedIn({ ...reply, body: { token, user, membership } });
  if (challenge) return { challengeId: challenge.id };
  throw new ClientError("The control plane answered a sign-up in a way that this version does not understand.", {
    code: "unexpected-reply",
  });
}

/** Exchanges a refresh token, which counts once, for an access token and the next refresh token. */
export async function refreshSession(client: Client, refreshToken: string): Promise<SignedIn> {
  const options = { headers: cookie(refreshToken), timeoutMs: REFRESH_TIMEOUT_MS };
  return signedIn(await client.auth.refresh.reply({}, options));
}

export async function endSession(client: Client, refreshToken: string): Promise<void> {
  await client.auth.logOut({}, { headers: cookie(refreshToken) });
}

/** A person's session as the `token` of a client: access tokens are renewed before they expire and when they are refused. */
export class Session implements TokenSource {
  readonly #client: Client;
  #accessToken: string;
  #refreshToken: string | null;
  #renewal: Promise<string> | null = null;

  /** `client` needs no token: it only refreshes. */
  constructor(client: Client, { accessToken, refreshToken }: Pick<SignedIn, "accessToken" | "refreshToken">) {
    this.#client = client;
    this.#accessToken = accessToken;
    this.#refreshToken = refreshToken;
  }

  async current(): Promise<string> {
    return expiresSoon(this.#accessToken) ? await this.renew(this.#accessToken) : this.#accessToken;
  }

  async renew(rejected: string): Promise<string> {
    if (this.#accessToken !== rejected) return this.#accessToken;
    // One at a time: a refresh token counts once.
    this.#renewal ??= this.#refresh().finally(() => {
      this.#renewal = null;
    });
    return await this.#renewal;
  }

  async #refresh(): Promise<string> {
    if (this.#refreshToken === null) return this.#accessToken;
    const next = await refreshSession(this.#client, this.#refreshToken);
    this.#accessToken = next.accessToken;
    this.#refreshToken = next.refreshToken ?? this.#refreshToken;
    return this.#accessToken;
  }
}

/** Reads `exp` of a JWT without checking the signature, which is the server's matter. Unreadable tokens never expire. */
export function expiresSoon(token: string, now: number = Date.now()): boolean {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    const expiry = (claims as { exp?: unknown }).exp;
    return typeof expiry === "number" && expiry * 1000 - now < RENEW_BEFORE_EXPIRY_MS;
  } catch {
    return false;
  }
}

function cookie(refreshToken: string): Record<string, string> {
  return { cookie: `${REFRESH_COOKIE}=${refreshToken}` };
}

function refreshCookie(headers: Headers): string | null {
  for (const line of headers.getSetCookie()) {
    const [pair = ""] = line.split(";");
    const separator = pair.indexOf("=");
    if (pair.slice(0, separator).trim() === REFRESH_COOKIE) return pair.slice(separator + 1).trim();
  }
  return null;
}
