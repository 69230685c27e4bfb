import { parseCookie, stringifySetCookie } from "cookie";
import { REFRESH_LIFETIME_MS } from "./model.ts";

const NAME = "shipfox_refresh_token";
const MAX_AGE_SECONDS = REFRESH_LIFETIME_MS / 1_000;

/** The published cookie; `secure` when users reach this server over https, since browsers drop it on http otherwise. */
export interface RefreshCookie {
  read(header: string | undefined): string | null;
  /** Values of the header Set-Cookie. */
  set(token: string): string;
  clear(): string;
}

export function createRefreshCookie({ secure }: { secure: boolean }): RefreshCookie {
  const attributes = { httpOnly: true, secure, sameSite: "lax", path: "/auth" } as const;
  return {
    read: (header) => (header === undefined ? null : (parseCookie(header)[NAME] ?? null)),
    set: (token) => stringifySetCookie({ name: NAME, value: token, maxAge: MAX_AGE_SECONDS, ...attributes }),
    clear: () => stringifySetCookie({ name: NAME, value: "", maxAge: 0, expires: new Date(0), ...attributes }),
  };
}
