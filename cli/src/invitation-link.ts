import { usageError } from "./cli-error.ts";

const TOKEN = /sf_i_[A-Za-z0-9_-]{43}/;

/** The token of an invitation's link, or of itself. Throws a usage error for anything else. */
export function tokenOfInvitation(linkOrToken: string): string {
  const token = TOKEN.exec(linkOrToken)?.[0];
  if (token === undefined) {
    throw usageError("That is not the link of an invitation: it ends with token=sf_i_…", "ask for another invitation");
  }
  return token;
}
