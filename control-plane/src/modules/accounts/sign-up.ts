import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { secretsEqual } from "@shipfox/shared/tokens";
import type { UserRow } from "../../store/schema.ts";
import type { AuditActor, WriteTx } from "../../store/store.ts";
import { checkSignup, type SignupFacts } from "./model.ts";
import { type AccountsDeps, newSession, openSession, type SignedIn } from "./session.ts";
import { accountExists, claimInstance, insertUser } from "./store.ts";

export interface SignupRequest {
  readonly email: string;
  readonly password: string;
  readonly name: string;
  readonly setupToken: string | undefined;
  readonly localPeer: boolean;
}

/**
 * Makes an account and signs it in. The first one owns the instance; of several first ones at the same moment one is
 * first, and the others are asked what every later one is asked.
 */
export async function signUp(deps: AccountsDeps, from: AuditActor, request: SignupRequest): Promise<SignedIn> {
  const { store, clock, log, passwords } = deps;
  const facts = {
    localPeer: request.localPeer,
    setupTokenValid: request.setupToken !== undefined && secretsEqual(request.setupToken, deps.setupToken),
    allowSignup: deps.allowSignup,
  };
  // Asked before the password is hashed, so that a closed door costs nothing, and decided again in the unit.
  checkSignup({ ...facts, firstAccount: !(await store.read(accountExists)) });
  const passwordHash = await passwords.hash(request.password);
  const now = clock.now();
  const user = newUser(request, passwordHash, now);
  const session = newSession(now);
  const made = await store.write(async (tx) => {
    const owner = await becomesOwner(tx, user.id, facts, now);
    const row = { ...user, admin_role: owner ? "admin-owner" : null };
    if (!(await insertUser(tx, row))) {
      throw new ApiError("email-taken", "an account with this e-mail address exists; sign in instead");
    }
    await openSession(tx, session, user.id, now);
    await tx.audit(
      { ...from, userId: user.id },
      {
        workspaceId: null,
        action: "account.created",
        target: { type: "user", id: user.id, name: user.email },
      },
    );
    return row;
  });
  log.info({ userId: made.id, adminRole: made.admin_role }, "an account was made");
  return { user: made, sessionId: session.id, refreshToken: session.refreshToken, membership: null };
}

async function becomesOwner(
  tx: WriteTx,
  userId: string,
  facts: Omit<SignupFacts, "firstAccount">,
  now: number,
): Promise<boolean> {
  const firstAccount = await claimInstance(tx, userId, now);
  checkSignup({ ...facts, firstAccount });
  return firstAccount;
}

/** Without mail there is nothing to verify an address with, so it counts as verified. */
function newUser({ email, name }: SignupRequest, passwordHash: string, now: number): UserRow {
  return {
    id: newId(now),
    email,
    name,
    password_hash: passwordHash,
    status: "active",
    admin_role: null,
    email_verified_at: now,
    created_at: now,
    updated_at: now,
  };
}
