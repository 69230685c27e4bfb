import { UnreachableError } from "@shipfox/shared/call-error";
import { type Answer, HttpCaller } from "@shipfox/shared/http-call";
import { VERSION } from "@shipfox/shared/version";
import { z } from "zod";
import { CALL_LIMIT_MS, ProviderError } from "../driver.ts";
import { readSecretFile } from "../secret-file.ts";
import { HetznerRefusal, type Refusal } from "./faults.ts";

/** Of one request. A call of the provider has time for several. */
const REQUEST_LIMIT_MS = 20_000;
/** Leaves room to say what happened within the limit of a call of the provider. */
const TOTAL_LIMIT_MS = CALL_LIMIT_MS - 5_000;
const OK = 200;
const NOT_FOUND = 404;
const FIRST_REDIRECT = 300;
const SECOND_MS = 1_000;
/** `RateLimit-Reset` is when the allowance is whole again; a minute's worth of it is enough to go on. */
const MAX_RESET_MS = 60_000;
const MAX_SHOWN_CHARS = 300;
/** The most that the API gives. */
const PER_PAGE = "50";
const MAX_PAGES = 1_000;
/** The connection was never made. */
const NOT_REACHED = new Set(["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH", "EAI_AGAIN"]);

const errorSchema = z.object({
  error: z.object({
    code: z.string(),
    message: z.string().catch(""),
    details: z
      .object({ fields: z.array(z.object({ name: z.string(), messages: z.array(z.string()).catch([]) })) })
      .optional()
      .catch(undefined),
  }),
});
const pageSchema = z.object({ meta: z.object({ pagination: z.object({ last_page: z.int().min(0).nullish() }) }) });

export interface ApiCall {
  readonly method: "GET" | "POST" | "DELETE";
  /** Below the endpoint, without a leading slash. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly signal: AbortSignal;
  /** What is asked, for the sentences of errors. */
  readonly what: string;
}

/** The REST API of Hetzner Cloud (docs.hetzner.cloud). Every call is tried once and rejects with ProviderError. */
export class HetznerApi {
  readonly #caller: HttpCaller;
  readonly #tokenFile: string;

  constructor(endpoint: string, tokenFile: string) {
    this.#caller = new HttpCaller(endpoint, null, "Hetzner Cloud");
    this.#tokenFile = tokenFile;
  }

  /** For all requests of one call of the provider. */
  static bounded(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, AbortSignal.timeout(TOTAL_LIMIT_MS)]);
  }

  async call<Schema extends z.ZodType>(schema: Schema, call: ApiCall): Promise<z.output<Schema>> {
    return this.#parse(schema, await this.#send(call), call);
  }

  /** Null when the thing is not there. */
  async find<Schema extends z.ZodType>(schema: Schema, call: ApiCall): Promise<z.output<Schema> | null> {
    const answer = await this.#send(call, NOT_FOUND);
    return answer.status === NOT_FOUND ? null : this.#parse(schema, answer, call);
  }

  /** True when it is done, false when the thing was not there. */
  async remove(call: Omit<ApiCall, "method" | "json">): Promise<boolean> {
    return (await this.#send({ ...call, method: "DELETE" }, NOT_FOUND)).status !== NOT_FOUND;
  }

  /**
   * All things of a collection, by id. Pages are read from the last one to the first: what is deleted meanwhile moves later things
   * to pages that are still to be read, so that none is missed.
   */
  async list<Item extends z.ZodType<{ id: number }>>(
    item: Item,
    { path, query = {}, signal, what }: Omit<ApiCall, "method" | "json">,
  ): Promise<z.output<Item>[]> {
    const key = path.split("/").at(-1) ?? path;
    const schema = pageSchema.and(z.object({ [key]: z.array(item) }));
    const found = new Map<number, z.output<Item>>();
    const read = async (page: number): Promise<number> => {
      const call = {
        method: "GET",
        path,
        query: { ...query, page: String(page), per_page: PER_PAGE },
        signal,
        what,
      } as const;
      const answer = await this.call(schema, call);
      for (const one of answer[key] as z.output<Item>[]) found.set(one.id, one);
      return answer.meta.pagination.last_page ?? 1;
    };
    const pages = await read(1);
    if (pages > MAX_PAGES) throw new ProviderError("unavailable", `Hetzner Cloud names ${pages} pages (${what})`);
    if (pages > 1) for (let page = pages; page >= 1; page -= 1) await read(page);
    return [...found.values()];
  }

  close(): void {
    this.#caller.close();
  }

  /** A new token in the file counts from the next request on. */
  async #send(call: ApiCall, expected = OK): Promise<Answer> {
    const { method, path, query, json, signal, what } = call;
    const changes = method !== "GET";
    const token = await readSecretFile(this.#tokenFile);
    if (signal.aborted) throw new ProviderError("unavailable", `stopped before ${what}`);
    const search = query === undefined ? "" : `?${new URLSearchParams(query).toString()}`;
    const answer = await this.#caller
      .send({
        method,
        path: `${path}${search}`,
        headers: {
          authorization: `Bearer ${token}`,
          "user-agent": `shipfox-provisioner/${VERSION}`,
          ...(json === undefined ? {} : { "content-type": "application/json" }),
        },
        body: json === undefined ? undefined : Buffer.from(JSON.stringify(json)),
        timeoutMs: REQUEST_LIMIT_MS,
        signal,
      })
      .catch((error: unknown) => {
        throw unreached(error, what, changes);
      });
    const isWell = answer.status >= OK && answer.status < FIRST_REDIRECT;
    if (isWell || answer.status === expected) return answer;
    throw new HetznerRefusal(what, readRefusal(answer), { changes, retryAfterMs: pauseOf(answer) });
  }

  #parse<Schema extends z.ZodType>(schema: Schema, answer: Answer, { method, what }: ApiCall): z.output<Schema> {
    const result = schema.safeParse(parseJson(answer.body));
    if (result.success) return result.data;
    throw new ProviderError("unavailable", `Hetzner Cloud answered what is not understood (${what})`, {
      mayHaveHappened: method !== "GET",
      cause: result.error,
    });
  }
}

function unreached(error: unknown, what: string, changes: boolean): unknown {
  if (!(error instanceof UnreachableError)) return error;
  const { code = "" } = Object(error.cause) as { code?: string };
  return new ProviderError("unavailable", `${error.message} (${what})`, {
    mayHaveHappened: changes && !NOT_REACHED.has(code),
    cause: error,
  });
}

function readRefusal({ status, body }: Answer): Refusal {
  const parsed = errorSchema.safeParse(parseJson(body));
  if (!parsed.success) return { status, code: "", message: "" };
  const { code, message, details } = parsed.data.error;
  const fields = (details?.fields ?? []).map(({ name, messages }) => `${name}: ${messages.join(", ")}`);
  const sentence = [message, ...fields].join("; ").replaceAll(/\s+/g, " ");
  return { status, code, message: sentence.slice(0, MAX_SHOWN_CHARS) };
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return null;
  }
}

/** In milliseconds; 0 when the answer does not say. */
function pauseOf({ headers, retryAfterMs }: Answer): number {
  if (retryAfterMs > 0) return retryAfterMs;
  const reset = Number(headers["ratelimit-reset"]) * SECOND_MS - Date.now();
  const remaining = Number(headers["ratelimit-remaining"]);
  return remaining === 0 && Number.isFinite(reset) ? Math.min(MAX_RESET_MS, Math.max(0, reset)) : 0;
}
