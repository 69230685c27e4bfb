import { hash, randomUUID } from "node:crypto";
import { ApiError } from "@shipfox/shared/errors";
import { IDEMPOTENCY_KEY_HEADER } from "@shipfox/shared/machine";
import { KeyTakenError } from "../store/idempotency-keys.ts";
import type { Clock } from "../store/clock.ts";
import { deleteOld } from "../store/delete-old.ts";
import type { IdempotentCall, Store, Tx, WriteTx } from "../store/store.ts";
import { accountOf, type UserPrincipal } from "./caller.ts";
import type { RequestFacts, Reply, Route } from "./route.ts";

const KEPT_MS = 24 * 3_600_000;
const KEY_PATTERN = /^[\x21-\x7e]{1,256}$/;
/** Larger replies are not kept; the call is then answered as one whose reply is a secret. */
const MAX_KEPT_CHARS = 256 * 1024;
const DELETE_BATCH = 500;

const FIND = "select * from idempotency_keys where caller = ? and route = ? and key = ?";
const FORGET = "delete from idempotency_keys where caller = ? and route = ? and key = ? and created_at <= ?";
const KEEP_REPLY =
  "update idempotency_keys set status = ?, body = ? where caller = ? and route = ? and key = ? and nonce = ?";
const DELETE_OLD = `delete from idempotency_keys where (caller, route, key) in
  (select caller, route, key from idempotency_keys where created_at <= ? order by created_at limit ?)`;
const OLDEST = "select min(created_at) as oldest from idempotency_keys";

interface KeyRow {
  readonly body_hash: string;
  readonly status: number | null;
  readonly body: string | null;
  readonly target_type: string;
  readonly target_id: string | null;
  readonly created_at: number;
}

/**
 * `Idempotency-Key` of the changing calls of users. The key is written by the transaction of the effect (`tx.audit` does it),
 * so there is never an effect without its key; the reply is kept after it, for 24 hours.
 */
export class Idempotency {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Null without the header, and on routes that change nothing. Throws 400 for a key that is none. */
  callOf(route: Route, user: UserPrincipal, request: RequestFacts, body: Buffer): IdempotentCall | null {
    if (!takesKey(route)) return null;
    const key = request.header(IDEMPOTENCY_KEY_HEADER);
    if (key === undefined) return null;
    if (!KEY_PATTERN.test(key))
      throw new ApiError("validation-error", "[headers] idempotency-key: expected 1 to 256 visible ASCII characters");
    const path = `${route.method} ${route.path}`;
    // The same key under another path, or with another body, is another call.
    const bodyHash = hash("sha256", `${JSON.stringify(request.path)}\n${hash("sha256", body, "hex")}`, "hex");
    return { caller: accountOf(user), route: path, key, bodyHash, nonce: randomUUID() };
  }

  /** The reply that the first call with this key got; null when this is the first. Throws 409 when it cannot be repeated. */
  async replay(call: IdempotentCall): Promise<Reply | null> {
    const keptSince = this.#clock.now() - KEPT_MS;
    const { caller, route, key } = call;
    const row = await this.#store.read((tx) => tx.get<KeyRow>(FIND, [caller, route, key]));
    if (!row) return null;
    if (row.created_at <= keptSince) {
      await this.#store.write((tx) => tx.run(FORGET, [caller, route, key, keptSince]));
      return null;
    }
    if (row.body_hash !== call.bodyHash)
      throw new ApiError("idempotency-key-reused", "this Idempotency-Key was used for another call; make a new key");
    if (row.status === null) {
      throw new ApiError(
        "idempotency-replay-unavailable",
        "the call was carried out before, but its reply is not kept; look at what it made, or make a new key",
        { details: { target: { type: row.target_type, id: row.target_id } } },
      );
    }
    const body: unknown = row.body === null ? undefined : JSON.parse(row.body);
    return { status: row.status, body, headers: { "idempotency-replayed": "true" } };
  }

  /** Keeps what was answered, unless it holds a secret. A crash before this leaves the key with its effect. */
  async keep(call: IdempotentCall, reply: Reply): Promise<void> {
    if ("stream" in reply || "chunks" in reply || reply.headers?.["cache-control"] === "no-store") return;
    const body = reply.body === undefined ? null : JSON.stringify(reply.body);
    if (body !== null && body.length > MAX_KEPT_CHARS) return;
    const { caller, route, key, nonce } = call;
    await this.#store.write((tx) => tx.run(KEEP_REPLY, [reply.status, body, caller, route, key, nonce]));
  }

  /** Deletes a batch of old keys, and answers when to call again; null when there is none. */
  deleteOld(now: number): Promise<number | null> {
    const remove = (tx: WriteTx, until: number, limit: number) => tx.run(DELETE_OLD, [until, limit]);
    const oldest = async (tx: Tx) => (await tx.get<{ oldest: number | null }>(OLDEST))?.oldest ?? null;
    return deleteOld(this.#store, { keptMs: KEPT_MS, batch: DELETE_BATCH, remove, oldest }, now);
  }
}

/** The calls that make something. */
export function takesKey(route: Pick<Route, "method" | "credential" | "audit">): boolean {
  return route.method === "POST" && route.credential === "user" && route.audit !== undefined;
}

/** Whether a call lost its key to another that was under way at the same moment. */
export function lostItsKey(error: unknown): boolean {
  return error instanceof KeyTakenError;
}
