import {
  changePasswordBodySchema,
  confirmResetBodySchema,
  resetLinkBodySchema,
  resetLinkReplySchema,
  resetPasswordBodySchema,
  sessionReplySchema,
} from "@shipfox/shared/api/accounts";
import { stranger } from "../../http/origin.ts";
import { linkPage } from "../../http/link-page.ts";
import { type Route, route } from "../../http/route.ts";
import { changePassword } from "./change-password.ts";
import { confirmReset, makeResetLink, requestReset } from "./reset-password.ts";
import { type AccountRoutesDeps, signedInReply } from "./signed-in-reply.ts";

const TAG = "Accounts";
/** The published path, and the one that the program behind the published page had. */
const RESET_PATHS = ["/auth/password/reset", "/auth/password-reset"];

const LINK_HELP = `Set a new password for your Shipfox account

Run this, and give it the address of this page when it asks for the link:

    shipfox password set --url URL

Without the command line: POST URL/auth/password/reset/confirm with the JSON body
{"token": "<what stands behind token= in the address of this page>", "new_password": "…"}.
`;

/** A new password: with the old one, with a mailed link, or with a link of an administrator. */
export function createPasswordRoutes(deps: AccountRoutesDeps): Route[] {
  return [
    ...RESET_PATHS.flatMap((path) => createResetRoutes(deps, path)),
    linkPage(
      {
        path: "/auth/reset",
        tag: TAG,
        summary: "Where the link of a mail leads: says how to set the new password",
        text: LINK_HELP,
      },
      deps.publicUrl,
    ),
    route({
      method: "POST",
      path: "/auth/change-password",
      tag: TAG,
      summary: "Change your password; your other sessions end",
      credential: "user",
      needs: "account",
      audit: "password.changed",
      body: changePasswordBodySchema,
      responses: { 204: null },
      errors: ["forbidden", "invalid-credentials", "not-found", "rate-limited", "overloaded"],
      handle: async ({ principal, body, request }) => {
        await changePassword(deps, principal, {
          currentPassword: body.current_password,
          newPassword: body.new_password,
          refreshToken: deps.cookie.read(request.header("cookie")),
        });
        return { status: 204 };
      },
    }),
    route({
      method: "POST",
      path: "/admin/auth/password-reset-links",
      tag: "Administration",
      summary:
        "Make a link with which a user sets a new password; mailed to the user, or shown where nothing can be mailed",
      credential: "user",
      needs: "instance:operate",
      audit: "password.reset_link_made",
      body: resetLinkBodySchema,
      responses: { 201: resetLinkReplySchema },
      errors: ["forbidden", "not-found", "overloaded"],
      handle: async ({ principal, body: { email } }) => {
        const { url, expiresAt } = await makeResetLink(deps, principal, email);
        const body = { mailed: url === null, reset_url: url, expires_at: new Date(expiresAt).toISOString() };
        return { status: 201, body, headers: { "cache-control": "no-store" } };
      },
    }),
  ];
}

function createResetRoutes(deps: AccountRoutesDeps, path: string): Route[] {
  return [
    route({
      method: "POST",
      path,
      tag: TAG,
      summary: "Ask for a mail with a link to set a new password; the answer does not tell whether there is an account",
      credential: "none",
      body: resetPasswordBodySchema,
      responses: { 204: null },
      errors: ["rate-limited", "overloaded"],
      handle: async ({ body: { email }, request }) => {
        await requestReset(deps, stranger(request), email);
        return { status: 204 };
      },
    }),
    route({
      method: "POST",
      path: `${path}/confirm`,
      tag: TAG,
      summary: "Set a new password with the token of the link, and sign in; all other sessions end",
      credential: "none",
      body: confirmResetBodySchema,
      responses: { 200: sessionReplySchema },
      errors: ["token-invalid", "rate-limited", "overloaded"],
      handle: async ({ body: { token, new_password: newPassword }, request }) =>
        signedInReply(deps, 200, await confirmReset(deps, stranger(request), { token, newPassword })),
    }),
  ];
}
