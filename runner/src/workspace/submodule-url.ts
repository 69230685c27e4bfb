import type { CheckoutToken } from "@shipfox/shared/machine";
import { CheckoutError } from "./checkout-error.ts";
import { SCP_PATTERN } from "./repository-access.ts";

/** A submodule's URL as git reads it: `./` and `../` are relative to the repository's own URL, and stay on its host. */
export function resolveSubmoduleUrl(repositoryUrl: string, url: string): string {
  if (!url.startsWith("./") && !url.startsWith("../")) return url;
  const { root, path } = splitUrl(repositoryUrl);
  const parts = path
    .replace(/\/+$/, "")
    .split("/")
    .filter((part) => part !== "");
  let rest = url;
  for (;;) {
    if (rest.startsWith("./")) rest = rest.slice(2);
    else if (rest.startsWith("../")) {
      rest = rest.slice(3);
      if (parts.pop() === undefined) throw refused(url, "leads above the root of the repository's host");
    } else break;
  }
  return `${root}${[...parts, rest].join("/")}`;
}

/**
 * What is needed to fetch a submodule from `url`. The repository's credential goes along only to the same protocol, host and
 * port; other hosts must be on the operator's list and get none. Throws CheckoutError for any other.
 */
export function submoduleToken(
  token: CheckoutToken,
  url: string,
  allowed: { readonly submoduleHosts: readonly string[] },
): Omit<CheckoutToken, "ref"> {
  const { auth, ssh_key, fetch_depth } = token;
  const depth = fetch_depth === 0 ? 0 : 1;
  const own = originOf(token.repository_url);
  const other = originOf(url);
  if (other !== null && own !== null && other.key === own.key) {
    const isLocalFile = other.host === "";
    return {
      repository_url: url,
      fetch_depth: depth,
      ...(auth && !isLocalFile ? { auth } : {}),
      ...(ssh_key === undefined ? {} : { ssh_key }),
    };
  }
  if (other !== null && other.host !== "" && allowed.submoduleHosts.includes(other.host))
    return { repository_url: url, fetch_depth: depth };
  const advice = "SHIPFOX_RUNNER_SUBMODULE_HOSTS lists the further hosts that the operator allows";
  throw refused(url, `is not on the repository's own host; ${advice}`);
}

/** `host` is empty for files of this machine. */
function originOf(url: string): { key: string; host: string } | null {
  const scp = SCP_PATTERN.exec(url);
  if (scp) return { key: `ssh://${(scp[1] as string).toLowerCase()}`, host: (scp[1] as string).toLowerCase() };
  if (!URL.canParse(url)) return null;
  const { protocol, host, hostname } = new URL(url);
  return { key: `${protocol}//${host}`, host: hostname };
}

function splitUrl(url: string): { root: string; path: string } {
  const scp = SCP_PATTERN.exec(url);
  if (scp) return { root: scp[0], path: url.slice(scp[0].length) };
  const [, root, path] = /^([a-z][a-z0-9+.-]*:\/\/[^/]*\/)(.*)$/i.exec(url) ?? [];
  if (root === undefined || path === undefined) throw refused(url, "cannot be resolved");
  return { root, path };
}

function refused(url: string, why: string): CheckoutError {
  const shown = JSON.stringify(url.length > 200 ? `${url.slice(0, 200)}…` : url);
  return new CheckoutError("checkout_failed", `The submodule URL ${shown} ${why}.`);
}
