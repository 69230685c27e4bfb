import { lookup } from "node:dns/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { TLSSocket } from "node:tls";

const CALL_LIMIT_MS = 10_000;
const SAMPLES = 3;
const MAX_BODY_BYTES = 64 * 1024;

export interface PlaneAnswer {
  readonly status: number;
  readonly body: string;
  /** Its clock, milliseconds since the epoch, to the second; null when it sends none. */
  readonly date: number | null;
  /** Ours, in the middle of the call. */
  readonly askedAt: number;
  readonly durationMs: number;
  /** When the certificate ends, milliseconds; null without TLS. */
  readonly certificateEndsAt: number | null;
}

/** Asks the control plane, each question once however many checks want its answer. */
export class PlaneProbe {
  readonly url: URL;
  private readonly authorities: string | null;
  private addressesAsked: Promise<string[]> | null = null;
  private answersAsked: Promise<PlaneAnswer[]> | null = null;

  constructor(apiUrl: string, authorities: string | null) {
    this.url = new URL(apiUrl.endsWith("/") ? apiUrl : `${apiUrl}/`);
    this.authorities = authorities;
  }

  /** The addresses of its name; rejects when there is none. */
  addresses(): Promise<string[]> {
    const host = this.url.hostname.replace(/^\[|\]$/g, "");
    this.addressesAsked ??= lookup(host, { all: true }).then((found) => found.map(({ address }) => address));
    return this.addressesAsked;
  }

  /** A few answers of its liveness page, one after another on new connections; rejects when one is missing. */
  answers(): Promise<PlaneAnswer[]> {
    this.answersAsked ??= (async () => {
      const answers: PlaneAnswer[] = [];
      for (let sample = 0; sample < SAMPLES; sample += 1) answers.push(await this.get("healthz", {}));
      return answers;
    })();
    return this.answersAsked;
  }

  get(path: string, headers: Record<string, string>): Promise<PlaneAnswer> {
    const startedAt = Date.now();
    const startedMonotonic = performance.now();
    const send = this.url.protocol === "https:" ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const call = send(
        new URL(path, this.url),
        {
          headers: { accept: "application/json", ...headers },
          agent: false,
          signal: AbortSignal.timeout(CALL_LIMIT_MS),
          ...(this.authorities === null ? {} : { ca: this.authorities }),
        },
        (response) => {
          const certificate = (response.socket as TLSSocket).getPeerCertificate?.();
          let body = "";
          response.setEncoding("utf8").on("data", (text: string) => {
            if (body.length < MAX_BODY_BYTES) body += text;
          });
          response.on("error", reject);
          response.on("end", () => {
            const durationMs = performance.now() - startedMonotonic;
            const date = Date.parse(response.headers.date ?? "");
            resolve({
              status: response.statusCode ?? 0,
              body,
              date: Number.isNaN(date) ? null : date,
              askedAt: startedAt + durationMs / 2,
              durationMs,
              certificateEndsAt: certificate?.valid_to ? Date.parse(certificate.valid_to) : null,
            });
          });
        },
      );
      call.on("error", (error) =>
        reject(error.name === "TimeoutError" ? new Error(`no answer within ${CALL_LIMIT_MS / 1000} s`) : error),
      );
      call.end();
    });
  }
}
