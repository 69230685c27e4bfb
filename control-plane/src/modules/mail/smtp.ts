import type { Transporter } from "nodemailer";
import type { Letter } from "./letter.ts";
import { renderLetter } from "./letter.ts";

/** `starttls` and `implicit` refuse to go on without a certificate that is good for `host`. */
export type TlsMode = "starttls" | "implicit" | "none";

export interface SmtpSettings {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** `ci@example.com`, or with a name: `Shipfox <ci@example.com>`. */
  readonly from: string;
  /** Certificates to trust besides the system's, PEM. */
  readonly ca: string | undefined;
}

const CONNECT_TIMEOUT_MS = 10_000;
const SILENCE_TIMEOUT_MS = 20_000;
/** The whole exchange: a server that answers a byte now and then must not hold a place for ever. */
const SEND_TIMEOUT_MS = 60_000;
const FIRST_PERMANENT_CODE = 500;

/** `permanent`: the same letter will be refused again. */
export class SendError extends Error {
  override readonly name = "SendError";
  readonly permanent: boolean;

  constructor(message: string, permanent: boolean) {
    super(message);
    this.permanent = permanent;
  }
}

/** Hands letters to one mail server. Each is one connection, so nothing is kept open between them. */
export class Smtp {
  readonly #settings: SmtpSettings;

  constructor(settings: SmtpSettings) {
    this.#settings = settings;
  }

  /**
   * Resolves when the server has taken the letter. The same `id` gives the same Message-ID, by which receivers know a
   * letter that comes twice. Throws `SendError`.
   */
  async send(id: string, letter: Letter): Promise<void> {
    const transport = await this.#connect();
    const deadline = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => deadline.reject(new SendError(`the mail server took longer than ${SEND_TIMEOUT_MS / 1_000} s`, false)),
      SEND_TIMEOUT_MS,
    );
    try {
      await Promise.race([transport.sendMail(this.#message(id, letter)), deadline.promise]);
    } catch (error) {
      throw error instanceof SendError ? error : sendError(error as SmtpFailure);
    } finally {
      clearTimeout(timer);
      transport.close();
    }
  }

  #message(id: string, letter: Letter) {
    const { subject, text, html } = renderLetter(letter);
    const domain = /@([^@>\s]+)>?\s*$/.exec(this.#settings.from)?.[1] ?? "localhost";
    return {
      from: this.#settings.from,
      // An object, so that no address is read as a list of several.
      to: { name: "", address: letter.to },
      subject,
      text,
      html,
      messageId: `<${id}@${domain}>`,
      headers: { "Auto-Submitted": "auto-generated" },
    };
  }

  async #connect(): Promise<Transporter> {
    const { host, port, tls, user, password, ca } = this.#settings;
    // Loaded with the first letter: most servers never send one.
    const { createTransport } = await import("nodemailer");
    return createTransport({
      host,
      port,
      secure: tls === "implicit",
      requireTLS: tls === "starttls",
      ignoreTLS: tls === "none",
      ...(user === undefined ? {} : { auth: { user, pass: password ?? "" } }),
      tls: { minVersion: "TLSv1.2", ...(ca === undefined ? {} : { ca }) },
      connectionTimeout: CONNECT_TIMEOUT_MS,
      dnsTimeout: CONNECT_TIMEOUT_MS,
      greetingTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SILENCE_TIMEOUT_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  }
}

type SmtpFailure = Error & { readonly code?: string; readonly responseCode?: number; readonly command?: string };

/**
 * 5xx for this sender, receiver or text is final. A refused password, a name that is not found or a bad certificate is
 * for the operator to put right, so the letter waits.
 */
function sendError(failure: SmtpFailure): SendError {
  const isAboutLetter = failure.code === "EENVELOPE" || failure.code === "EMESSAGE";
  const permanent = isAboutLetter && (failure.responseCode ?? 0) >= FIRST_PERMANENT_CODE;
  return new SendError(`${failure.code ?? "failed"}: ${failure.message}`, permanent);
}
