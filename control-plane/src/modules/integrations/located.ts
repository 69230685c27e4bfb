import type { GitSource } from "./git.ts";

/** A repository that a connection may read, as far as that can be told without asking its host. */
export interface Located {
  /** The one canonical form of the repository's id. */
  readonly externalId: string;
  /** Asks the host for what is needed to read it, when that needs to be asked for. Never inside of a unit. */
  open(access: SourceAccess): Promise<OpenSource>;
}

export interface LocatedProject extends Located {
  readonly defaultBranch: string;
}

export interface SourceAccess {
  readonly contents: "read" | "write";
}

/** Holds opened secrets: it goes to git or to a runner, never further. */
export interface OpenSource extends GitSource {
  /** When the credential ends, in milliseconds; null when it does not end by itself. */
  readonly expiresAt: number | null;
  /** Who commits with it, where its host has somebody for that. */
  readonly author?: { readonly name: string; readonly email: string };
}
