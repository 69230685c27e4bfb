import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { Server } from "node:https";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { ConfigError } from "@shipfox/shared/config";
import type { Logger } from "@shipfox/shared/logger";
import { type Config, SETTINGS } from "../config.ts";

/** Those who renew certificates write two files, one after the other, or exchange a link. */
const LOOK_EVERY_MS = 5_000;
const HANDSHAKE_LIMIT_MS = 10_000;

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Null without TLS. Throws ConfigError when one of the two files is missing in the settings. */
export function tlsFiles({ tlsCertFile: certFile, tlsKeyFile: keyFile }: Config): TlsFiles | null {
  if (certFile === undefined && keyFile === undefined) return null;
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  const missing = certFile === undefined ? SETTINGS.tlsCertFile : SETTINGS.tlsKeyFile;
  throw new ConfigError(`TLS is configured in part. Set ${missing.variable} as well, or neither file.`);
}

interface CertificatePair {
  /** PEM, as `key`. */
  readonly cert: string;
  readonly key: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** Reads both files. Throws ConfigError that says which is wrong, and how. */
export function readCertificate({ certFile, keyFile }: TlsFiles): CertificatePair {
  const cert = read(SETTINGS.tlsCertFile.variable, certFile);
  const key = read(SETTINGS.tlsKeyFile.variable, keyFile);
  let expiresAt: number;
  try {
    expiresAt = new X509Certificate(cert).validToDate.getTime();
  } catch {
    throw new ConfigError(`${certFile} holds no certificate in PEM form (${SETTINGS.tlsCertFile.variable})`);
  }
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new ConfigError(`${keyFile} is not the key of ${certFile}: ${(error as Error).message}`);
  }
  return { cert, key, expiresAt };
}

function read(variable: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(`${variable}: ${file} cannot be read: ${(error as Error).message}`);
  }
}

/**
 * The certificate that a server shows, taken anew when its files change. Connections go on with what they began with; while
 * the files do not fit together, new ones get the certificate that was good last.
 */
export class Certificate {
  readonly #files: TlsFiles;
  readonly #log: Logger;
  readonly #servers = new Set<Server>();
  #pair: CertificatePair;
  #seen: string;
  readonly #timer: NodeJS.Timeout;

  /** Throws ConfigError when there is no good certificate to begin with. */
  constructor(files: TlsFiles, log: Logger) {
    this.#files = files;
    this.#log = log;
    this.#seen = stampOf(files);
    this.#pair = readCertificate(files);
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  /** What to make a server with. */
  get options(): SecureContextOptions & { readonly handshakeTimeout: number } {
    return { ...contextOf(this.#pair), handshakeTimeout: HANDSHAKE_LIMIT_MS };
  }

  /** Milliseconds since the epoch. */
  get expiresAt(): number {
    return this.#pair.expiresAt;
  }

  /** The server gets every later certificate. */
  serve(server: Server): void {
    this.#servers.add(server);
  }

  /** Takes what the files hold now; logs why not when they are no good. */
  reload(): void {
    this.#seen = stampOf(this.#files);
    try {
      this.#pair = readCertificate(this.#files);
    } catch (error) {
      this.#log.error({ err: error }, "the new certificate is no good; the one before goes on");
      return;
    }
    for (const server of this.#servers) server.setSecureContext(contextOf(this.#pair));
    this.#log.info({ expiresAt: new Date(this.#pair.expiresAt).toISOString() }, "the certificate was read again");
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    if (stampOf(this.#files) !== this.#seen) this.reload();
  }
}

function contextOf({ cert, key }: CertificatePair): SecureContextOptions {
  return { cert, key, minVersion: "TLSv1.2" };
}

/** Changes with the files, or with the files that they are links to. */
function stampOf({ certFile, keyFile }: TlsFiles): string {
  return [certFile, keyFile]
    .map((file) => statSync(file, { throwIfNoEntry: false }))
    .map((found) => (found === undefined ? "gone" : `${found.dev} ${found.ino} ${found.size} ${found.mtimeMs}`))
    .join(", ");
}
