import { type CliError, usageError } from "./cli-error.ts";

export const DEFAULT_URL = "http://localhost:16101";

/** Base URL without a trailing slash. Throws a usage error that says what is wrong with the address. */
export function normalizeUrl(text: string): string {
  const address = text.trim();
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(address)) {
    const guess = URL.parse(`http://${address}`);
    throw wrongUrl(
      `The address ${JSON.stringify(address)} does not begin with http:// or https://.`,
      guess && guess.username === "" ? `${schemeFor(guess)}//${guess.host}` : DEFAULT_URL,
    );
  }
  const url = URL.parse(address);
  if (!url || url.host === "") throw wrongUrl("This is no address of a control plane.", DEFAULT_URL);
  if (url.username !== "" || url.password !== "")
    throw wrongUrl("The address must not hold a user name or a password; they are asked for.", url.origin);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw wrongUrl(`The address begins with ${url.protocol}//; expected http:// or https://.`, `http://${url.host}`);
  if (url.search !== "" || url.hash !== "")
    throw wrongUrl("The address must end before ? and #.", `${url.origin}${url.pathname}`.replace(/\/+$/, ""));
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

function schemeFor({ hostname }: URL): "http:" | "https:" {
  return hostname === "localhost" || hostname === "[::1]" || /^[\d.]+$/.test(hostname) ? "http:" : "https:";
}

function wrongUrl(message: string, suggestion: string): CliError {
  return usageError(message, `shipfox login --url ${suggestion}`);
}
