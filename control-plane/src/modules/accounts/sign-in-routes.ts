import {
  loginBodySchema,
  loginMethodsReplySchema,
  resendCodeBodySchema,
  resendCodeReplySchema,
  sessionReplySchema,
  signupBodySchema,
  signupReplySchema,
  verifyEmailBodySchema,
} from "@shipfox/shared/api/accounts";
import { ApiError } from "@shipfox/shared/errors";
import { stranger } from "../../http/origin.ts";
import { type Reply, type Route, route } from "../../http/route.ts";
import { isLocalPeer } from "./local-peer.ts";
import { logIn } from "./log-in.ts";
import { logOut } from "./log-out.ts";
import { refreshSession } from "./refresh-session.ts";
import { presentUser } from "./session.ts";
import { type SignedUp, signUp } from "./sign-up.ts";
import { type AccountRoutesDeps, signedInReply } from "./signed-in-reply.ts";
import { confirmEmail, resendCode } from "./verify-email.ts";

const TAG = "Accounts";

/** How one becomes and stops being signed in. */
export function createSignInRoutes(deps: AccountRoutesDeps): Route[] {
  const { cookie } = deps;
  const signedIn = signedInReply.bind(null, deps);

  const signedUp = (made: SignedUp): Reply => {
    if (made.session) return signedIn(201, made.session);
    const { id, nextResendAt } = made.challenge;
    const challenge = { id, next_resend_available_at: new Date(nextResendAt).toISOString() };
    return { status: 201, body: { user: presentUser(made.user), email_challenge: challenge } };
  };

  return [
    route({
      method: "POST",
      path: "/auth/signup",
      tag: TAG,
      summary: "Make an account; the first one becomes the instance's owner",
      credential: "none",
      body: signupBodySchema,
      responses: { 201: signupReplySchema },
      errors: [
        "setup-token-required",
        "signup-not-allowed",
        "email-taken",
        "invitation-token-invalid",
        "invitation-token-used",
        "invitation-token-expired",
        "invitation-email-mismatch",
        "rate-limited",
        "email-challenge-limited",
        "overloaded",
      ],
      handle: async ({ body, request }) => {
        const { setup_token: setupToken, invitation_token: invitationToken, ...account } = body;
        const localPeer = deps.isLocalInstance && isLocalPeer(request);
        return signedUp(await signUp(deps, stranger(request), { ...account, setupToken, invitationToken, localPeer }));
      },
    }),
    route({
      method: "POST",
      path: "/auth/verify-email/confirm",
      tag: TAG,
      summary: "Prove an e-mail address with the code that was mailed, and sign in",
      credential: "none",
      body: verifyEmailBodySchema,
      responses: { 200: sessionReplySchema },
      errors: [
        "email-challenge-invalid",
        "email-challenge-consumed",
        "email-challenge-expired",
        "email-challenge-exhausted",
        "rate-limited",
      ],
      handle: async ({ body: { email, challenge_id: challengeId, code }, request }) =>
        signedIn(200, await confirmEmail(deps, stranger(request), { email, challengeId, code })),
    }),
    route({
      method: "POST",
      path: "/auth/verify-email/resend",
      tag: TAG,
      summary: "Mail another code",
      credential: "none",
      body: resendCodeBodySchema,
      responses: { 200: resendCodeReplySchema },
      errors: ["email-challenge-cooldown", "email-challenge-expired", "email-challenge-limited", "rate-limited"],
      handle: async ({ body: { email, challenge_id: challengeId }, request }) => {
        const next = await resendCode(deps, stranger(request), { email, challengeId });
        return { status: 200, body: { next_resend_available_at: new Date(next).toISOString() } };
      },
    }),
    route({
      method: "GET",
      path: "/auth/login-methods",
      tag: TAG,
      summary: "The ways to sign in",
      credential: "none",
      responses: { 200: loginMethodsReplySchema },
      handle: async () => ({ status: 200, body: { login_methods: [{ id: "password" }] } }),
    }),
    route({
      method: "POST",
      path: "/auth/login",
      tag: TAG,
      summary: "Sign in with e-mail address and password",
      credential: "none",
      body: loginBodySchema,
      responses: { 200: sessionReplySchema },
      errors: ["invalid-credentials", "email-not-verified", "rate-limited", "overloaded"],
      handle: async ({ body, request }) => signedIn(200, await logIn(deps, stranger(request), body)),
    }),
    route({
      method: "POST",
      path: "/auth/refresh",
      tag: TAG,
      summary: "Exchange the refresh cookie for a new access token",
      credential: "none",
      responses: { 200: sessionReplySchema },
      errors: ["unauthorized"],
      handle: async ({ request }) => {
        const presented = cookie.read(request.header("cookie"));
        const session = presented === null ? null : await refreshSession(deps, stranger(request), presented);
        if (session) return signedIn(200, session);
        throw new ApiError("unauthorized", "the session has ended; sign in again", {
          headers: { "set-cookie": cookie.clear() },
        });
      },
    }),
    route({
      method: "POST",
      path: "/auth/logout",
      tag: TAG,
      summary: "End the session of the refresh cookie, or of the access token when there is no cookie",
      credential: "none",
      responses: { 204: null },
      handle: async ({ request }) => {
        const refreshToken = cookie.read(request.header("cookie"));
        await logOut(deps, stranger(request), { refreshToken, authorization: request.header("authorization") });
        return { status: 204, headers: { "set-cookie": cookie.clear() } };
      },
    }),
  ];
}
