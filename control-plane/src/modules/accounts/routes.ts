import {
  loginBodySchema,
  meReplySchema,
  sessionReplySchema,
  signupBodySchema,
  signupReplySchema,
} from "@shipfox/shared/api/accounts";
import { ApiError } from "@shipfox/shared/errors";
import { stranger } from "../../http/origin.ts";
import { type Reply, type Route, route } from "../../http/route.ts";
import { isLocalName, isLocalPeer } from "./local-peer.ts";
import { logIn } from "./log-in.ts";
import { logOut } from "./log-out.ts";
import { createRefreshCookie } from "./refresh-cookie.ts";
import { refreshSession } from "./refresh-session.ts";
import { type AccountsDeps, presentSession, presentUser, type SignedIn } from "./session.ts";
import { signUp } from "./sign-up.ts";
import { findUser } from "./store.ts";

export interface AccountRoutesDeps extends AccountsDeps {
  /** Where browsers reach this server: decides whether the cookie is `Secure`. */
  readonly publicUrl: string;
}

const TAG = "Accounts";

export function createAccountRoutes(deps: AccountRoutesDeps): Route[] {
  const { store, tokens } = deps;
  // Under a public name there may be a proxy that adds no header of its own: nobody then counts as local.
  const isLocalInstance = isLocalName(new URL(deps.publicUrl).host);
  const cookie = createRefreshCookie({ secure: new URL(deps.publicUrl).protocol === "https:" });

  const signedIn = (status: number, session: SignedIn): Reply => ({
    status,
    body: presentSession(tokens, session),
    headers: {
      "cache-control": "no-store",
      ...(session.refreshToken === null ? {} : { "set-cookie": cookie.set(session.refreshToken) }),
    },
  });

  return [
    route({
      method: "POST",
      path: "/auth/signup",
      tag: TAG,
      summary: "Make an account; the first one becomes the instance's owner",
      credential: "none",
      body: signupBodySchema,
      responses: { 201: signupReplySchema },
      errors: ["setup-token-required", "signup-not-allowed", "email-taken"],
      handle: async ({ body, request }) => {
        const { setup_token: setupToken, ...account } = body;
        return signedIn(
          201,
          await signUp(deps, stranger(request), {
            ...account,
            setupToken,
            localPeer: isLocalInstance && isLocalPeer(request),
          }),
        );
      },
    }),
    route({
      method: "POST",
      path: "/auth/login",
      tag: TAG,
      summary: "Sign in with e-mail address and password",
      credential: "none",
      body: loginBodySchema,
      responses: { 200: sessionReplySchema },
      errors: ["invalid-credentials"],
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
        const session = presented === null ? null : await refreshSession(deps, presented);
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
        await logOut(deps, { refreshToken, authorization: request.header("authorization") });
        return { status: 204, headers: { "set-cookie": cookie.clear() } };
      },
    }),
    route({
      method: "GET",
      path: "/auth/me",
      tag: TAG,
      summary: "The signed-in user",
      credential: "user",
      needs: "identity",
      responses: { 200: meReplySchema },
      errors: ["not-found"],
      handle: async ({ principal }) => {
        const user = await store.read((tx) => findUser(tx, principal.userId));
        if (!user) throw new ApiError("not-found", "this account does not exist any more");
        return { status: 200, body: { user: presentUser(user), admin_role: user.admin_role } };
      },
    }),
  ];
}
