import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import { ApiError } from "@shipfox/shared/errors";
import jsonwebtoken from "jsonwebtoken";
import { asRootKeys, type RootKeys } from "./root-keys.ts";
import type { LeasePrincipal, RunnerSessionPrincipal } from "./route.ts";

/** Verified tokens are remembered until they expire; the bound keeps a flood of distinct tokens from growing memory. */
const MAX_CACHED_TOKENS = 20_000;
const KEY_SALT = "shipfox/auth-root/v1";
const KEY_BYTES = 32;
const PURPOSES = {
  user: "shipfox/user-access-token/v1",
  session: "shipfox/runner-session-token/v1",
  lease: "shipfox/job-lease-token/v1",
} as const;
type TokenUse = keyof typeof PURPOSES;
const SESSION_AUDIENCE = "runner-session";
const LEASE_AUDIENCE = "runner-job-lease";

export interface TokenLifetimes {
  readonly userSeconds: number;
  readonly sessionSeconds: number;
}

export interface UserTokenFacts {
  readonly userId: string;
  readonly email: string;
  readonly name: string | null;
  readonly refreshSessionId: string;
}

/**
 * The three kinds of JWT (HS256). Each kind has its own key, derived from the root key, so that no token of one kind
 * passes for another. Keys are KeyObjects: with a string secret jsonwebtoken is fifty times slower.
 */
export class SignedTokens {
  readonly #rootKeys: RootKeys;
  readonly #lifetimes: TokenLifetimes;
  readonly #verified = new Map<string, { principal: unknown; expiresAtMs: number }>();
  #keys: Record<TokenUse, readonly KeyObject[]>;
  #version: number;

  constructor(rootKeys: Buffer | RootKeys, lifetimes: TokenLifetimes) {
    this.#rootKeys = asRootKeys(rootKeys);
    this.#lifetimes = lifetimes;
    this.#keys = deriveAll(this.#rootKeys.forTokens);
    this.#version = this.#rootKeys.version;
  }

  /** The keys of a kind of token, with which they are signed first. What was verified by a key that is gone is forgotten. */
  #keysFor(use: TokenUse): readonly KeyObject[] {
    if (this.#version !== this.#rootKeys.version) {
      this.#keys = deriveAll(this.#rootKeys.forTokens);
      this.#version = this.#rootKeys.version;
      this.#verified.clear();
    }
    return this.#keys[use];
  }

  #signingKey(use: TokenUse): KeyObject {
    return this.#keysFor(use)[0] as KeyObject;
  }

  signUser(facts: UserTokenFacts): string {
    return jsonwebtoken.sign(
      { email: facts.email, name: facts.name, refreshSessionId: facts.refreshSessionId },
      this.#signingKey("user"),
      {
        algorithm: "HS256",
        subject: facts.userId,
        expiresIn: this.#lifetimes.userSeconds,
      },
    );
  }

  signSession(facts: { sessionId: string; workspaceId: string; labels: string[]; maxClaims: number | null }): string {
    const claims = {
      runnerSessionId: facts.sessionId,
      workspaceId: facts.workspaceId,
      scope: "workspace",
      labels: facts.labels,
      maxClaims: facts.maxClaims,
    };
    return jsonwebtoken.sign(claims, this.#signingKey("session"), {
      algorithm: "HS256",
      audience: SESSION_AUDIENCE,
      expiresIn: this.#lifetimes.sessionSeconds,
    });
  }

  /** The fence travels inside, so that the upstream runner carries it unknowingly. */
  signLease(lease: LeasePrincipal, lifetimeSeconds: number): string {
    const claims = {
      workflowRunId: lease.runId,
      workflowRunAttempt: lease.runAttempt,
      workflowRunAttemptId: lease.runAttemptId,
      jobId: lease.jobId,
      jobExecutionId: lease.executionId,
      projectId: lease.projectId,
      workspaceId: lease.workspaceId,
      runnerSessionId: lease.sessionId,
      runnerId: lease.runnerId,
      fence: lease.fence,
      ...(lease.stepId === null ? {} : { currentStepId: lease.stepId, currentStepAttempt: lease.stepAttempt }),
    };
    const token = jsonwebtoken.sign(claims, this.#signingKey("lease"), {
      algorithm: "HS256",
      audience: LEASE_AUDIENCE,
      expiresIn: lifetimeSeconds,
    });
    // It comes back with the next call; having signed it is having verified it.
    this.#remember(`${LEASE_AUDIENCE}:${token}`, lease, Date.now() + lifetimeSeconds * 1000);
    return token;
  }

  verifyUser(token: string): { userId: string; refreshSessionId: string | null } {
    return this.#verify(token, "user", undefined, (claims) => ({
      userId: claims["sub"] as string,
      refreshSessionId: (claims["refreshSessionId"] as string | undefined) ?? null,
    }));
  }

  verifySession(token: string): RunnerSessionPrincipal {
    return this.#verify(token, "session", SESSION_AUDIENCE, (claims) => ({
      sessionId: claims["runnerSessionId"] as string,
      workspaceId: claims["workspaceId"] as string,
    }));
  }

  verifyLease(token: string): LeasePrincipal {
    return this.#verify(token, "lease", LEASE_AUDIENCE, (claims) => ({
      fence: claims["fence"] as number,
      sessionId: claims["runnerSessionId"] as string,
      runnerId: claims["runnerId"] as string,
      workspaceId: claims["workspaceId"] as string,
      projectId: claims["projectId"] as string,
      runId: claims["workflowRunId"] as string,
      runAttemptId: claims["workflowRunAttemptId"] as string,
      runAttempt: claims["workflowRunAttempt"] as number,
      jobId: claims["jobId"] as string,
      executionId: claims["jobExecutionId"] as string,
      stepId: (claims["currentStepId"] as string | undefined) ?? null,
      stepAttempt: (claims["currentStepAttempt"] as number | undefined) ?? null,
    }));
  }

  #verify<P>(
    token: string,
    use: TokenUse,
    audience: string | undefined,
    principalOf: (claims: jsonwebtoken.JwtPayload) => P,
  ): P {
    const keys = this.#keysFor(use);
    const cacheKey = `${audience ?? "user"}:${token}`;
    const known = this.#verified.get(cacheKey);
    if (known && known.expiresAtMs > Date.now()) return known.principal as P;
    const claims = claimsOf(token, keys, audience);
    const principal = principalOf(claims);
    this.#remember(cacheKey, principal, (claims.exp ?? 0) * 1000);
    return principal;
  }

  #remember(cacheKey: string, principal: unknown, expiresAtMs: number): void {
    if (this.#verified.size >= MAX_CACHED_TOKENS) this.#verified.delete(this.#verified.keys().next().value as string);
    this.#verified.set(cacheKey, { principal, expiresAtMs });
  }
}

/** Throws 401 `unauthorized` for a token that none of the keys has signed, or that has expired. */
function claimsOf(token: string, keys: readonly KeyObject[], audience: string | undefined): jsonwebtoken.JwtPayload {
  const options = { algorithms: ["HS256" as const], ...(audience === undefined ? {} : { audience }) };
  for (const key of keys) {
    try {
      return jsonwebtoken.verify(token, key, options) as jsonwebtoken.JwtPayload;
    } catch (error) {
      if (!(error instanceof jsonwebtoken.TokenExpiredError)) continue;
      throw new ApiError("unauthorized", "the token has expired; sign in or register again");
    }
  }
  throw new ApiError("unauthorized", "the token is not valid here");
}

function deriveAll(rootKeys: readonly Buffer[]): Record<TokenUse, readonly KeyObject[]> {
  const derived = (use: TokenUse) => rootKeys.map((rootKey) => deriveKey(rootKey, PURPOSES[use]));
  return { user: derived("user"), session: derived("session"), lease: derived("lease") };
}

/** A key for one purpose out of the root key (HKDF-SHA256). */
export function deriveKey(rootKey: Buffer, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync("sha256", rootKey, KEY_SALT, purpose, KEY_BYTES)));
}
