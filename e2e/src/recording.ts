import { readFileSync } from "node:fs";
import { call } from "./api.ts";

const RECORDINGS = new URL("../fixtures/wire/", import.meta.url);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const SIGNED_TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** One request of the upstream runner and what the upstream server answered; secrets are replaced by `<…>`. */
export interface Exchange {
  readonly n: number;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: unknown;
    /** Bytes that were sent; more than `body` has where secrets or paths were cut out of the recording. */
    readonly body_bytes: number;
  };
  readonly response: { readonly status: number; readonly body: unknown };
}

export function readRecording(name: string): Exchange[] {
  const text = readFileSync(new URL(`${name}.jsonl`, RECORDINGS), "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Exchange);
}

export interface ReplayOptions {
  readonly url: string;
  readonly registrationToken: string;
  /** Run before the exchange with this number, to bring the server to where the recorded one was. */
  readonly before?: Readonly<Record<number, () => Promise<unknown>>>;
  /** Exchanges that are not sent, each with the reason. */
  readonly skip?: Readonly<Record<number, string>>;
  /** Exchanges that are sent with the claim's own lease token instead of the step's. */
  readonly claimLease?: readonly number[];
  /** Fields that ours may have beside the recorded ones. */
  readonly additions: ReadonlySet<string>;
  /** Fields whose value belongs to the recorded machine: only the type is compared, and null may be anything. */
  readonly freeValues: ReadonlySet<string>;
}

/** Sends a recording to our server, with our ids and tokens in the place of the recorded ones; answers all differences. */
export async function replay(exchanges: readonly Exchange[], options: ReplayOptions): Promise<string[]> {
  const replayer = new Replayer(options);
  const differences: string[] = [];
  for (const exchange of exchanges) {
    if (options.skip?.[exchange.n] !== undefined) continue;
    await options.before?.[exchange.n]?.();
    differences.push(...(await replayer.send(exchange)));
  }
  return differences;
}

class Replayer {
  readonly #options: ReplayOptions;
  /** Our id for each recorded one. */
  readonly #ids = new Map<string, string>();
  #session = "";
  #claimLease = "";
  #lease = "";

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  async send({ n, request, response }: Exchange): Promise<string[]> {
    const body = request.body === "" || request.body === null ? undefined : this.#translated(request.body);
    const contentType = request.headers["content-type"];
    const answer = await call(this.#options.url, request.method, this.#withOurIds(request.path), {
      token: this.#tokenFor(n, request),
      body,
      headers: contentType === undefined ? {} : { "content-type": contentType },
    });
    const where = `#${n} ${request.method} ${request.path.split("?")[0]}`;
    if (answer.status !== response.status) {
      return [
        `${where}: expected ${response.status} ${JSON.stringify(response.body)}, got ${answer.status} ${answer.text}`,
      ];
    }
    this.#remember(answer.body as Record<string, unknown> | null);
    const recorded = response.body === "" ? null : withoutCutBytes(response.body, request);
    return this.#compare(recorded, answer.body, "body").map((difference) => `${where}: ${difference}`);
  }

  #withOurIds(text: string): string {
    return [...this.#ids].reduce((result, [recorded, ours]) => result.replaceAll(recorded, ours), text);
  }

  #translated(body: unknown): unknown {
    if (typeof body === "string") return this.#withOurIds(body);
    return JSON.parse(this.#withOurIds(JSON.stringify(body)));
  }

  #tokenFor(n: number, { path, headers }: Exchange["request"]): string | null {
    const token = headers["authorization"]?.replace(/^Bearer /, "");
    if (token === undefined) return null;
    if (token.startsWith("sf_mrt_<")) return this.#options.registrationToken;
    if (token !== "<jwt>") return token;
    if (path.startsWith("/runners/jobs/request")) return this.#session;
    return this.#options.claimLease?.includes(n) ? this.#claimLease : this.#lease;
  }

  /** The client uses the token it was given last. */
  #remember(body: Record<string, unknown> | null): void {
    if (typeof body?.["session_token"] === "string") this.#session = body["session_token"];
    if (typeof body?.["lease_token"] === "string") this.#lease = body["lease_token"];
    if (body?.["job_execution_id"] !== undefined) this.#claimLease = this.#lease;
  }

  #compare(recorded: unknown, ours: unknown, path: string): string[] {
    if (typeof recorded === "string" && typeof ours === "string") return this.#compareText(recorded, ours, path);
    if (isObject(recorded) && isObject(ours)) {
      const names = new Set([...Object.keys(recorded), ...Object.keys(ours)]);
      return [...names].flatMap((name) => {
        const at = `${path}.${name}`;
        if (!(name in ours)) return [`${at} is missing`];
        if (name in recorded) return this.#compare(recorded[name], ours[name], at);
        return this.#options.additions.has(name) ? [] : [`${at} is not in the recording`];
      });
    }
    if (JSON.stringify(recorded) === JSON.stringify(ours)) return [];
    if (this.#isFree(path) && (recorded === null || typeof recorded === typeof ours)) return [];
    return [`${path}: expected ${JSON.stringify(recorded)}, got ${JSON.stringify(ours)}`];
  }

  #compareText(recorded: string, ours: string, path: string): string[] {
    if (UUID.test(recorded) && UUID.test(ours)) {
      const known = this.#ids.get(recorded) ?? ours;
      this.#ids.set(recorded, ours);
      return known === ours ? [] : [`${path}: the same id before was ${known}, now ${ours}`];
    }
    const isSame =
      recorded === ours ||
      (TIME.test(recorded) && TIME.test(ours)) ||
      (recorded === "<jwt>" && SIGNED_TOKEN.test(ours)) ||
      this.#isFree(path);
    return isSame ? [] : [`${path}: expected ${recorded}, got ${ours}`];
  }

  #isFree(path: string): boolean {
    return this.#options.freeValues.has(path.split(".").at(-1) ?? "");
  }
}

/** The length of a log as it is when the recorded bytes are sent that are left. */
function withoutCutBytes(body: unknown, request: Exchange["request"]): unknown {
  if (!isObject(body) || typeof body["committed_length"] !== "number" || typeof request.body !== "string") return body;
  const cut = request.body_bytes - Buffer.byteLength(request.body);
  return { ...body, committed_length: body["committed_length"] - cut };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
