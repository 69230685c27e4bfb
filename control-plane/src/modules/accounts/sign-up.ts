import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { secretsEqual } from "@shipfox/shared/tokens";
import type { UserRow } from "../../store/schema.ts";
import type { AuditActor, WriteTx } from "../../store/store.ts";
import { acceptInvitation, requireInvitation } from "../workspaces/public.ts";
import { isAllowed } from "./allowed-addresses.ts";
import { mustVerify, type OpenChallenge } from "./email-challenges.ts";
import { checkSignup, type SignupFacts } from "./model.ts";
import { type AccountsDeps, newSession, openSession, type SignedIn } from "./session.ts";
import { accountExists, claimInstance, findUser, findUserByEmail, insertUser } from "./store.ts";

export interface SignupRequest {
  readonly email: string;
  readonly password: string;
  readonly name: string;
  readonly setupToken: string | undefined;
  /** Of a link that was sent to this address: who has it may sign up, and has proven the address. */
  readonly invitationToken: string | undefined;
  readonly localPeer: boolean;
}

/** Signed in, or asked to prove the address first. */
export type SignedUp =
  | { readonly session: SignedIn; readonly challenge: null }
  | { readonly session: null; readonly user: UserRow; readonly challenge: OpenChallenge };

/**
 * Makes an account. The first one owns the instance and is signed in, as it proved itself by the machine or the setup
 * token; of several first ones at the same moment one is first, and the others are asked what every later one is asked.
 * Where mail is configured, a later one gets a code by mail and no session.
 */
export async function signUp(deps: AccountsDeps, from: AuditActor, request: SignupRequest): Promise<SignedUp> {
  const { store, clock, passwords, limits, challenges, mail } = deps;
  limits.address(from.origin.ip);
  if (request.invitationToken !== undefined) return signUpInvited(deps, from, request, request.invitationToken);
  const facts = {
    localPeer: request.localPeer,
    setupTokenValid: request.setupToken !== undefined && secretsEqual(request.setupToken, deps.setupToken),
    allowSignup: deps.allowSignup,
    addressAllowed: isAllowed(deps.allowedAddresses, request.email),
  };
  // Asked before the password is hashed, so that a closed door costs nothing, and decided again in the unit.
  checkSignup({ ...facts, firstAccount: !(await store.read(accountExists)) });
  const known = await store.read((tx) => findUserByEmail(tx, request.email));
  if (known) return resume(deps, from, request, known);
  const passwordHash = await passwords.hash(request.password);
  const now = clock.now();
  const user = newUser(request, passwordHash, now);
  const session = newSession(now, from.origin);
  const draft = mail.isConfigured ? challenges.draft(request.email, from.origin.ip) : null;
  return store.write(async (tx) => {
    const owner = await becomesOwner(tx, user.id, facts, now);
    const isProven = owner || draft === null;
    const row = { ...user, admin_role: owner ? "admin-owner" : null, email_verified_at: isProven ? now : null };
    if (!(await insertUser(tx, row))) throw taken();
    await auditCreated(deps, tx, row, from);
    if (!isProven) return { session: null, user: row, challenge: await challenges.open(tx, row.id, draft) };
    await openSession(tx, session, row, from);
    return {
      session: { user: row, sessionId: session.id, refreshToken: session.refreshToken, membership: null },
      challenge: null,
    };
  });
}

/** Throws 409 `email-taken`, and what `requireInvitation` throws. */
async function signUpInvited(
  deps: AccountsDeps,
  from: AuditActor,
  request: SignupRequest,
  token: string,
): Promise<SignedUp> {
  const { store, clock, passwords } = deps;
  const now = clock.now();
  // Asked before the password is hashed, so that guesses cost nothing, and decided again in the unit.
  await store.read((tx) => requireInvitation(tx, { token, email: request.email, now }));
  const passwordHash = await passwords.hash(request.password);
  const user = { ...newUser(request, passwordHash, now), email_verified_at: now };
  const session = newSession(now, from.origin);
  const membershipId = newId(now);
  return store.write(async (tx) => {
    if (!(await insertUser(tx, user))) throw taken();
    await auditCreated(deps, tx, user, from);
    const { forUpdate } = store.sql;
    const { membership } = await acceptInvitation(tx, from, { token, user, membershipId, now, forUpdate });
    await openSession(tx, session, user, from);
    const signedIn = { user, sessionId: session.id, refreshToken: session.refreshToken, membership };
    return { session: signedIn, challenge: null };
  });
}

/** Whoever left before he typed the code goes on where he was, if he knows the password. */
async function resume(
  { store, passwords, challenges, limits, mail }: AccountsDeps,
  from: AuditActor,
  request: SignupRequest,
  known: UserRow,
): Promise<SignedUp> {
  limits.password(from.origin.ip, request.email);
  const isRight = await passwords.verify(known.password_hash, request.password);
  if (!isRight || known.status !== "active" || !mustVerify(known, mail)) throw taken();
  const draft = challenges.draft(known.email, from.origin.ip);
  return store.write(async (tx) => {
    const user = await findUser(tx, known.id);
    if (user?.status !== "active" || user.email_verified_at !== null) throw taken();
    return { session: null, user, challenge: await challenges.open(tx, user.id, draft) };
  });
}

function taken(): ApiError {
  return new ApiError("email-taken", "an account with this e-mail address exists; sign in instead");
}

async function auditCreated({ log }: AccountsDeps, tx: WriteTx, user: UserRow, from: AuditActor): Promise<void> {
  await tx.audit(
    { ...from, userId: user.id },
    { workspaceId: null, action: "account.created", target: { type: "user", id: user.id, name: user.email } },
  );
  tx.afterCommit(() => log.info({ userId: user.id, adminRole: user.admin_role }, "an account was made"));
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

function newUser({ email, name }: SignupRequest, passwordHash: string, now: number): UserRow {
  return {
    id: newId(now),
    email,
    name,
    password_hash: passwordHash,
    status: "active",
    admin_role: null,
    email_verified_at: null,
    created_at: now,
    updated_at: now,
  };
}
