import { readFileSync } from "node:fs";
import { ConfigError } from "@shipfox/shared/config";
import type { Config } from "../../config.ts";
import { Smtp } from "./smtp.ts";

const DEFAULT_PORTS = { starttls: 587, implicit: 465, none: 25 };
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/;

/** The mail server of the settings; null when none is named. Throws ConfigError for settings that do not fit together. */
export function readSmtp(config: Config): Smtp | null {
  const { smtpHost: host, smtpTls: tls, smtpUser: user, smtpPassword: password, smtpFrom: from } = config;
  if (host === undefined) return null;
  if (from === undefined) throw new ConfigError("SHIPFOX_SMTP_HOST needs SHIPFOX_SMTP_FROM, the sender of the mails");
  if ((user === undefined) !== (password === undefined)) {
    throw new ConfigError("SHIPFOX_SMTP_USER and SHIPFOX_SMTP_PASSWORD (or SHIPFOX_SMTP_PASSWORD_FILE) go together");
  }
  if (tls === "none" && user !== undefined && !LOOPBACK.test(host)) {
    throw new ConfigError("SHIPFOX_SMTP_TLS=none would send the password in the clear; use starttls or implicit");
  }
  const port = config.smtpPort ?? DEFAULT_PORTS[tls];
  return new Smtp({ host, port, tls, user, password, from, ca: readCa(config.smtpCaFile) });
}

function readCa(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`SHIPFOX_SMTP_CA_FILE cannot be read: ${(error as Error).message}`);
  }
}
