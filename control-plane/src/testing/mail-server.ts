import type { AddressInfo } from "node:net";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";

/** A mail as it went over the wire. */
export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: string;
}

export interface MailServerOptions {
  readonly tls?: "starttls" | "implicit" | "none";
  /** What the server asks for; without it everybody may send. */
  readonly login?: { readonly user: string; readonly password: string };
  /** Answers a receiver: an SMTP code to refuse him with, or null to take the mail. */
  readonly receive?: (address: string) => number | null;
}

/** A certificate for localhost that no system trusts. */
async function makeCertificate(): Promise<{ key: string; cert: string }> {
  const folder = await mkdtemp(join(tmpdir(), "shipfox-certificate-"));
  try {
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")];
    await execa("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...subject, ...files]);
    return {
      key: await readFile(join(folder, "key.pem"), "utf8"),
      cert: await readFile(join(folder, "cert.pem"), "utf8"),
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The code of eight digits in a mail of ours. */
export function codeIn({ raw }: ReceivedMail): string {
  return /^\s+(\d{8})\r?$/m.exec(raw)?.[1] ?? "";
}

/** The token of the link in a mail of ours. */
export function tokenIn({ raw }: ReceivedMail): string {
  return /sf_[a-z]+_[\w-]{43}/.exec(raw.replaceAll("=\r\n", ""))?.[0] ?? "";
}

let certificate: ReturnType<typeof makeCertificate> | undefined;

/** A real SMTP server on the loopback that keeps what it takes. */
export class MailServer {
  readonly received: ReceivedMail[] = [];
  readonly port: number;
  /** The certificate to trust. */
  readonly ca: string;
  readonly #server: SMTPServer;

  private constructor(server: SMTPServer, port: number, ca: string, received: ReceivedMail[]) {
    this.#server = server;
    this.port = port;
    this.ca = ca;
    this.received = received;
  }

  static async start({ tls = "none", login, receive }: MailServerOptions = {}, port = 0): Promise<MailServer> {
    certificate ??= makeCertificate();
    const { key, cert } = await certificate;
    const received: ReceivedMail[] = [];
    const options: SMTPServerOptions = {
      key,
      cert,
      secure: tls === "implicit",
      disabledCommands: [...(tls === "none" ? ["STARTTLS"] : []), ...(login ? [] : ["AUTH"])],
      authOptional: login === undefined,
      onAuth: ({ username, password }, _session, done) => {
        const isRight = username === login?.user && password === login?.password;
        if (isRight) done(null, { user: username });
        else done(new Error("wrong user or password"));
      },
      onRcptTo: ({ address }, _session, done) => {
        const code = receive?.(address) ?? null;
        done(code === null ? null : Object.assign(new Error("not now"), { responseCode: code }));
      },
      onData: (stream, { envelope }, done) => {
        const chunks: Buffer[] = [];
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.once("end", () => {
          const to = envelope.rcptTo.map(({ address }) => address);
          const from = envelope.mailFrom ? envelope.mailFrom.address : "";
          received.push({ from, to, raw: Buffer.concat(chunks).toString("utf8") });
          done();
        });
      },
    };
    const server = new SMTPServer(options);
    // A client that refuses our certificate is what some tests want.
    server.on("error", () => {});
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return new MailServer(server, (server.server.address() as AddressInfo).port, cert, received);
  }

  /** The settings of a control plane that mails here, without TLS and password. */
  get environment(): Record<string, string> {
    return {
      SHIPFOX_SMTP_HOST: "127.0.0.1",
      SHIPFOX_SMTP_PORT: String(this.port),
      SHIPFOX_SMTP_TLS: "none",
      SHIPFOX_SMTP_FROM: "ci@example.com",
    };
  }

  /** The first mail to `address` from the `from`th on, once it came. */
  async mailTo(address: string, from = 0): Promise<ReceivedMail> {
    const deadline = performance.now() + 10_000;
    while (performance.now() < deadline) {
      const mail = this.received.slice(from).find(({ to }) => to.includes(address));
      if (mail) return mail;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`no mail came for ${address}`);
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
