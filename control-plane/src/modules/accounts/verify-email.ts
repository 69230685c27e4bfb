import { ApiError } from "@shipfox/shared/errors";
import type { AuditActor } from "../../store/store.ts";
import { type CodeVerdict, RESEND_COOLDOWN_MS } from "./email-challenge.ts";
import { type AccountsDeps, newSession, openSession, signedInAs, type SignedIn } from "./session.ts";
import { findUserByEmail, setVerified } from "./store.ts";

/** Proves the address and signs in. Throws the `email-challenge-…` that says what is wrong. */
export async function confirmEmail(
  { store, clock, challenges, limits }: AccountsDeps,
  from: AuditActor,
  request: { email: string; challengeId: string; code: string },
): Promise<SignedIn> {
  limits.address(from.origin.ip);
  const now = clock.now();
  const session = newSession(now, from.origin);
  const outcome = await store.write(async (tx): Promise<SignedIn | CodeVerdict | null> => {
    const user = await findUserByEmail(tx, request.email);
    if (user?.status !== "active") return null;
    const verdict = await challenges.tryCode(tx, user.id, { ...request, now });
    if (verdict !== "right") return verdict;
    const verified = await setVerified(tx, user.id, now);
    if (!verified) return null;
    await tx.audit(
      { ...from, userId: user.id },
      { workspaceId: null, action: "account.verified", target: { type: "user", id: user.id, name: user.email } },
    );
    await openSession(tx, session, verified, from);
    return signedInAs(tx, verified, session);
  });
  if (typeof outcome === "object" && outcome !== null) return outcome;
  throw codeError(outcome);
}

function codeError(verdict: CodeVerdict | null): ApiError {
  switch (verdict) {
    case "wrong":
      return new ApiError("email-challenge-invalid", "the code is wrong");
    case "consumed":
      return new ApiError("email-challenge-consumed");
    case "expired":
      return new ApiError("email-challenge-expired");
    case "exhausted":
      return new ApiError("email-challenge-exhausted");
    case "right":
    case null:
      return new ApiError("email-challenge-invalid", "there is no such code to type", { status: 410 });
  }
}

/** Mails a new code. Who asks for an address without an open challenge learns nothing. Answers when the next may be asked for. */
export async function resendCode(
  { store, challenges, limits }: AccountsDeps,
  from: AuditActor,
  { email, challengeId }: { email: string; challengeId: string },
): Promise<number> {
  limits.mail(from.origin.ip, email);
  const draft = challenges.draft(email, from.origin.ip);
  const sent = await store.write(async (tx) => {
    const user = await findUserByEmail(tx, email);
    if (user?.status !== "active" || user.email_verified_at !== null) return null;
    return challenges.resend(tx, user.id, challengeId, draft);
  });
  return sent?.nextResendAt ?? draft.now + RESEND_COOLDOWN_MS;
}
