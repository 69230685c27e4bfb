import type { Readable } from "node:stream";
import { json } from "node:stream/consumers";
import Docker from "dockerode";
import { CALL_LIMIT_MS, ProviderError } from "../driver.ts";
import { type DockerSettings, parseEngineAddress } from "./options.ts";

/** Leaves time to clean up within the limit of a call of the provider. */
const ENGINE_LIMIT_MS = CALL_LIMIT_MS - 15_000;
const NOT_FOUND = 404;
const CONFLICT = 409;
const TOO_MANY = 429;
const FIRST_OWN_FAULT = 500;
/** The connection was never made. */
const NOT_REACHED = new Set([
  "ECONNREFUSED",
  "ENOENT",
  "EACCES",
  "ENOTFOUND",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
]);
const NO_ROOM = /no space left on device|disk quota exceeded|no available .*address|cannot allocate memory/i;
/** Faults of an order that engines answer as faults of their own. */
const WRONG_ORDER =
  /no such image|unknown runtime|runtime .* not found|executable file not found|no such file or directory|storage-opt|pool overlaps|invalid/i;

export interface TlsFiles {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** One call for a thing of the engine, given the signal that ends it. */
type Call<T> = (docker: Docker, abortSignal: AbortSignal) => Promise<T>;

interface CallOptions {
  readonly signal: AbortSignal;
  /** Whether it can change something, so that an answer that was lost leaves open whether it did. */
  readonly changes?: boolean;
}

/** The Engine API through dockerode: each call has a deadline and rejects with ProviderError. */
export class Engine {
  readonly #docker: Docker;
  readonly #address: string;

  constructor({ host }: DockerSettings, tls: TlsFiles | null) {
    const address = parseEngineAddress(host);
    if (address === null) throw new Error(`${host} is no address of an engine`);
    this.#address = host;
    this.#docker =
      "socketPath" in address
        ? new Docker({ socketPath: address.socketPath })
        : new Docker({ host: address.host, port: address.port, protocol: tls ? "https" : "http", ...tls });
  }

  async call<T>(what: string, options: CallOptions, call: Call<T>): Promise<T> {
    const answer = await this.callOrStatus(what, options, [], call);
    return answer as T;
  }

  /** All with these labels, whatever their state. Read here: dockerode goes on waiting when the connection breaks within a list. */
  async listContainers(label: readonly string[], signal: AbortSignal): Promise<Docker.ContainerInfo[]> {
    return this.call("list of containers", { signal }, async ({ modem }, abortSignal) => {
      const answer = await new Promise<Readable>((resolve, reject) => {
        const options = { all: true, filters: { label } };
        const request = { path: "/containers/json?", method: "GET", options, isStream: true, abortSignal };
        const statusCodes = { 200: true, 400: "bad parameter", 500: "server error" };
        modem.dial({ ...request, statusCodes }, (error: Error | null, body: unknown) =>
          error ? reject(error) : resolve(body as Readable),
        );
      });
      return (await json(answer)) as Docker.ContainerInfo[];
    });
  }

  /** Null when the thing is not there. */
  async find<T>(what: string, options: CallOptions, call: Call<T>): Promise<T | null> {
    const answer = await this.callOrStatus(what, options, [NOT_FOUND], call);
    return answer === NOT_FOUND ? null : (answer as T);
  }

  /** The status instead of the answer when the engine refuses with one of these. */
  async callOrStatus<T>(
    what: string,
    { signal, changes = false }: CallOptions,
    expected: readonly number[],
    call: Call<T>,
  ): Promise<T | number> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ENGINE_LIMIT_MS)]);
    if (limit.aborted) throw new ProviderError("unavailable", `stopped before the ${what}`);
    try {
      return await Promise.race([call(this.#docker, limit), rejectOnAbort(limit)]);
    } catch (error) {
      const status = (error as EngineFailure).statusCode;
      if (status !== undefined && expected.includes(status)) return status;
      throw this.#fault(what, error as EngineFailure, limit.aborted, changes);
    }
  }

  #fault(what: string, failure: EngineFailure, isLate: boolean, changes: boolean): ProviderError {
    const said = failure.json?.message ?? failure.message;
    const fault = isLate ? "unavailable" : faultOf(failure, said);
    const reached = isLate || !NOT_REACHED.has(failure.code ?? "");
    const isLost = failure.statusCode === undefined && reached;
    const why = isLate ? "no answer in time" : said.trim();
    return new ProviderError(fault, `Docker at ${this.#address} failed (${what}): ${why}`, {
      mayHaveHappened: changes && (isLost || (fault === "unavailable" && reached)),
      cause: failure,
    });
  }
}

interface EngineFailure extends Error {
  readonly code?: string;
  readonly statusCode?: number;
  readonly json?: { readonly message?: string } | null;
}

function faultOf({ statusCode }: EngineFailure, said: string): ProviderError["fault"] {
  if (statusCode === undefined) return "unavailable";
  if (NO_ROOM.test(said)) return "no_capacity";
  if (statusCode === TOO_MANY) return "throttled";
  if (statusCode < FIRST_OWN_FAULT || WRONG_ORDER.test(said)) return "refused";
  return "unavailable";
}

export const STATUS = { notModified: 304, notFound: NOT_FOUND, conflict: CONFLICT } as const;

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error("stopped")), { once: true });
  });
}
