import type { Reply } from "../../http/route.ts";
import type { RefreshCookie } from "./refresh-cookie.ts";
import { type AccountsDeps, presentSession, type SignedIn } from "./session.ts";

/** What the routes of accounts share. */
export interface AccountRoutesDeps extends AccountsDeps {
  readonly cookie: RefreshCookie;
  /** Under a public name there may be a proxy that adds no header of its own: nobody then counts as local. */
  readonly isLocalInstance: boolean;
}

/** A session for the client: the access token in the body, the refresh token in the cookie. */
export function signedInReply({ tokens, cookie }: AccountRoutesDeps, status: number, session: SignedIn): Reply {
  return {
    status,
    body: presentSession(tokens, session),
    headers: {
      "cache-control": "no-store",
      ...(session.refreshToken === null ? {} : { "set-cookie": cookie.set(session.refreshToken) }),
    },
  };
}
