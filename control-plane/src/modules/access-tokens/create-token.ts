import type { Ability } from "@shipfox/shared/api/access-tokens";
import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { hashToken, newToken, tokenPrefix } from "@shipfox/shared/tokens";
import { ABILITIES, roleHas } from "../../http/abilities.ts";
import { type Access, ForbiddenError } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import type { AccessTokenRow } from "../../store/schema.ts";
import type { Store, Tx } from "../../store/store.ts";
import { countTokens, deleteDeadTokens, insertToken } from "./store.ts";

/** Tokens that one user may have and not have revoked. */
const MAX_TOKENS = 200;
/** Dead tokens are forgotten after this; the audit log remembers them. */
const DEAD_TOKEN_MEMORY_MS = 30 * 86_400_000;

export interface CreateTokenDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  /** Throws 401 `invalid-credentials` unless this is the caller's password. */
  readonly confirmPassword: (caller: Caller, password: string) => Promise<void>;
}

export interface TokenRequest {
  readonly name: string;
  readonly workspaceId: string;
  readonly abilities: readonly Ability[];
  readonly ttlSeconds: number;
  readonly currentPassword: string | undefined;
}

/**
 * Mints a token for the caller, with no ability that his role lacks. The raw token is answered once and never stored. A
 * sensitive ability asks for the password: whoever finds a browser signed in must not leave with a lasting key.
 */
export async function createToken(
  { store, clock, access, confirmPassword }: CreateTokenDeps,
  caller: Caller,
  request: TokenRequest,
): Promise<{ raw: string; row: AccessTokenRow }> {
  const sensitive = request.abilities.filter((ability) => ABILITIES[ability][1] === "sensitive");
  if (sensitive.length > 0) {
    if (request.currentPassword === undefined) {
      throw new ApiError("password-required", `${sensitive.join(", ")}: send your password as current_password`, {
        details: { sensitive },
      });
    }
    await confirmPassword(caller, request.currentPassword);
  }
  const now = clock.now();
  const raw = newToken("pat");
  const row: AccessTokenRow = {
    id: newId(now),
    user_id: caller.userId,
    workspace_id: request.workspaceId,
    name: request.name,
    prefix: tokenPrefix(raw),
    token_hash: hashToken(raw),
    abilities: JSON.stringify([...new Set(request.abilities)]),
    expires_at: now + request.ttlSeconds * 1000,
    last_used_at: null,
    revoked_at: null,
    created_at: now,
  };
  await store.write(async (tx) => {
    await requireRole(access, tx, caller, request);
    await deleteDeadTokens(tx, caller.userId, now - DEAD_TOKEN_MEMORY_MS);
    if ((await countTokens(tx, caller.userId)) >= MAX_TOKENS) {
      throw new ApiError("access-tokens-exhausted", `you have ${MAX_TOKENS} access tokens; revoke some first`);
    }
    await insertToken(tx, row);
    await tx.audit(caller, {
      workspaceId: request.workspaceId,
      action: "access_token.created",
      target: { type: "access_token", id: row.id, name: row.name },
      details: { prefix: row.prefix, abilities: request.abilities, expires_at: new Date(row.expires_at ?? 0) },
    });
  });
  return { raw, row };
}

async function requireRole(
  access: Access,
  tx: Tx,
  caller: Caller,
  { workspaceId, abilities }: TokenRequest,
): Promise<void> {
  const role = await access.role(tx, caller.userId, workspaceId);
  if (!role) throw new ForbiddenError("you are not a member of this workspace", workspaceId);
  const missing = abilities.filter((ability) => !roleHas(role, ability));
  if (missing.length === 0) return;
  const message = `a token cannot be stronger than you: your role ${role} does not include ${missing.join(", ")}`;
  throw new ForbiddenError(message, workspaceId, { role, needed: missing });
}
