import { Agent as HttpAgent, type IncomingMessage, request as requestHttp, type RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { isIP } from "node:net";
import { isPublicAddress } from "./public-address.ts";
import type { HostAddress, ResolveHost } from "./resolve-host.ts";

export interface OutgoingRequest {
  readonly method: "GET" | "POST";
  /** http or https, without user, password and fragment. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Null for a GET. */
  readonly body: string | null;
  /** For the whole exchange, from the name to the answer's status. */
  readonly timeoutMs: number;
  /** The connection is cut after this much of the answer's body. */
  readonly maxAnswerBytes: number;
  /** Private, loopback and other special addresses are refused without it. */
  readonly allowPrivate: boolean;
  readonly signal: AbortSignal;
}

export interface OutgoingAnswer {
  readonly status: number;
  /** The begin of the answer's body, at most `maxAnswerBytes`. */
  readonly body: Buffer;
  /** Every address of the host is one of the public internet. */
  readonly isPublic: boolean;
}

export type RequestFailure = "address_refused" | "name_unresolved" | "connection_failed" | "tls_failed" | "timeout";

/** There was no answer. The message is for people and tells no address: names of the inside stay inside. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly failure: RequestFailure;

  constructor(failure: RequestFailure, message: string, cause?: unknown) {
    super(message, { cause });
    this.failure = failure;
  }
}

/**
 * Sends one request to a place that a user chose, and follows no redirect. The name is resolved once, every address that it
 * has must be allowed, and the connection goes to one of these: a name that changes its mind meanwhile gains nothing.
 * Rejects with `RequestError`, or with the reason of `signal`.
 */
export async function requestOnce(outgoing: OutgoingRequest, resolve: ResolveHost): Promise<OutgoingAnswer> {
  const deadline = AbortSignal.timeout(outgoing.timeoutMs);
  const signal = AbortSignal.any([outgoing.signal, deadline]);
  try {
    const addresses = await withSignal(allowedAddresses(outgoing, resolve), signal);
    const answer = await send(outgoing, addresses, signal);
    return { ...answer, isPublic: addresses.every(({ address }) => isPublicAddress(address)) };
  } catch (error) {
    outgoing.signal.throwIfAborted();
    if (error instanceof RequestError) throw error;
    if (deadline.aborted)
      throw new RequestError("timeout", `there was no answer within ${outgoing.timeoutMs} ms`, error);
    throw connectionError(error);
  }
}

async function allowedAddresses({ url, allowPrivate }: OutgoingRequest, resolve: ResolveHost): Promise<HostAddress[]> {
  const host = hostOf(url);
  const addresses = await resolve(host).catch((error: unknown) => {
    throw new RequestError("name_unresolved", `the name ${host} has no address`, error);
  });
  if (!allowPrivate && addresses.some(({ address }) => !isPublicAddress(address))) {
    throw new RequestError("address_refused", `${host} is not on the public internet`);
  }
  return addresses;
}

/** Name or address, without the brackets of IPv6. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, "$1");
}

function send(
  { method, url, headers, body, maxAnswerBytes }: OutgoingRequest,
  addresses: readonly HostAddress[],
  signal: AbortSignal,
): Promise<{ status: number; body: Buffer }> {
  const isTls = url.protocol === "https:";
  // An agent of its own: no connection is shared, and no proxy of the environment resolves the name again.
  const agent = isTls ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  const options: RequestOptions & { servername?: string } = {
    method,
    agent,
    signal,
    headers: {
      ...headers,
      ...(body === null ? {} : { "content-length": Buffer.byteLength(body) }),
      connection: "close",
    },
    lookup: (_host, { all }, callback) => {
      const [first] = addresses;
      if (all) callback(null, [...addresses]);
      else callback(null, first?.address ?? "", first?.family);
    },
    // The certificate must be for the name, whatever the address; an address has no name to ask for.
    ...(isTls && isIP(hostOf(url)) === 0 ? { servername: url.hostname } : {}),
  };
  return new Promise((resolve, reject) => {
    let isAnswered = false;
    const request = (isTls ? requestHttps : requestHttp)(url, options, (response) => {
      isAnswered = true;
      void readBegin(response, maxAnswerBytes).then((begin) =>
        resolve({ status: response.statusCode ?? 0, body: begin }),
      );
    });
    request.on("error", (error) => isAnswered || reject(error));
    request.end(body ?? undefined);
  });
}

/** What comes after the limit, or after the deadline, is not read: the connection is cut. The status has been said. */
async function readBegin(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response) {
      chunks.push(chunk as Buffer);
      size += (chunk as Buffer).length;
      if (size >= maxBytes) break;
    }
  } catch {
    // A body that breaks off is as long as it is.
  }
  response.destroy();
  return Buffer.concat(chunks).subarray(0, maxBytes);
}

function withSignal<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

function connectionError(error: unknown): RequestError {
  const code = codeOf(error);
  if (/^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|EPROTO)/.test(code)) {
    return new RequestError("tls_failed", `the TLS certificate or protocol was refused (${code})`, error);
  }
  return new RequestError("connection_failed", `the connection failed${code === "" ? "" : ` (${code})`}`, error);
}

/** Several addresses that were tried in vain come as one error. */
function codeOf(error: unknown): string {
  const tried = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  const code = (tried as NodeJS.ErrnoException | null)?.code;
  return typeof code === "string" ? code : "";
}
