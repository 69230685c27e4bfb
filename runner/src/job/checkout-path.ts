import { ArchiveFault } from "../files/archive-fault.ts";
import { pathParts, shown } from "../files/archive-path.ts";
import { CheckoutError } from "../workspace/checkout-error.ts";

/** The names on the way to where a checkout goes; none for the workspace itself. Throws CheckoutError `checkout_path_invalid`. */
export function checkoutPath(path: string): string[] {
  try {
    const parts = pathParts(path);
    if (/[\\\p{Cc}]/u.test(path) || /^[A-Za-z]:/.test(path))
      throw new ArchiveFault(`the path ${shown(path)} is no plain path`);
    // As git itself, on file systems that know no difference.
    if (parts.some((part) => part.toLowerCase() === ".git"))
      throw new ArchiveFault(`the path ${shown(path)} leads into \`.git\``);
    return parts;
  } catch (error) {
    throw error instanceof ArchiveFault
      ? new CheckoutError(
          "checkout_path_invalid",
          `The checkout's \`path\` must be a folder below the workspace: ${error.message}.`,
        )
      : error;
  }
}

/** The folder that a repository gets by itself: what it is called. `url` is without a credential. */
export function repositoryName(url: string): string {
  const path = url.replace(/\/+$/, "").replace(/\/?\.git$/, "");
  const name = path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf(":")) + 1);
  // Not the workspace itself, nor what is above it.
  return /^\.{0,2}$/.test(name) ? "repository" : name;
}
