import { ConfigError } from "@shipfox/shared/config";
import { SETTINGS, type Config } from "../../config.ts";

/** Who may sign up where sign-up is open. Two empty lists let everybody. */
export interface AllowedAddresses {
  /** `example.com` lets ada@example.com, but nobody of its subdomains. */
  readonly domains: readonly string[];
  readonly emails: readonly string[];
}

/** Throws ConfigError for lists that would keep nobody out, as without mail no address is proven. */
export function allowedAddresses(config: Config): AllowedAddresses {
  const [domains, emails] = [config.allowedEmailDomains, config.allowedEmails];
  if (config.smtpHost === undefined && domains.length + emails.length > 0) {
    const { allowedEmailDomains, allowedEmails, smtpHost } = SETTINGS;
    throw new ConfigError(
      `${allowedEmailDomains.variable} and ${allowedEmails.variable} need ${smtpHost.variable}: without mail nobody proves his address. Set it as well, or unset them.`,
    );
  }
  return { domains, emails };
}

/** Upper and lower case are one. */
export function isAllowed({ domains, emails }: AllowedAddresses, email: string): boolean {
  if (domains.length + emails.length === 0) return true;
  const address = email.toLowerCase();
  return emails.includes(address) || domains.includes(address.slice(address.lastIndexOf("@") + 1));
}
