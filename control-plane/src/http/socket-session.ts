import { webSocketRequestSchema, type WebSocketAnswer } from "@shipfox/shared/api/events";
import { ApiError } from "@shipfox/shared/errors";
import type { Logger } from "@shipfox/shared/logger";
import type { RawData, WebSocket } from "ws";
import type { z } from "zod";
import type { Origin, Tx } from "../store/store.ts";
import type { Caller, UserPrincipal } from "./caller.ts";
import type { Channels } from "./channels.ts";
import type { OpenStreams, StreamPlace } from "./open-streams.ts";
import { Subscription } from "./socket-subscription.ts";
import type { StreamTickets } from "./stream-tickets.ts";

export const WEB_SOCKET_PATH = "/ws";
export const MAX_MESSAGE_BYTES = 64 * 1024;
const MAX_SUBSCRIPTIONS = 100;
/** Messages of a client that wait for an answer; one who sends more without waiting is cut off. */
const MAX_WAITING_MESSAGES = 200;
const AUTH_WITHIN_MS = 5_000;
/** A reader that still has more than this before it when the next message comes is cut off; it resumes from its cursor. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;
/** Above this no more of the history is read. */
const FULL_BYTES = 256 * 1024;
/** What a closing socket gets to take the last of it. */
const CLOSE_GRACE_MS = 2_000;

const POLICY = 1_008;
const UNAUTHORIZED = 4_401;
const SLOW = 4_408;
const TOO_MANY = 4_429;

type Request = z.output<typeof webSocketRequestSchema>;

export interface SocketDeps {
  readonly tickets: StreamTickets;
  readonly streams: OpenStreams;
  readonly channels: Channels;
  readonly log: Logger;
}

/** One WebSocket: who it belongs to, and what it has subscribed to. */
export class SocketSession {
  readonly #socket: WebSocket;
  readonly #origin: Origin;
  readonly #deps: SocketDeps;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #whenDrained = new Set<() => void>();
  #caller: Caller | null = null;
  #place: StreamPlace | null = null;
  /** Messages are answered one after another, in their order. */
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;
  #isAlive = true;
  #isClosing = false;

  constructor(socket: WebSocket, origin: Origin, deps: SocketDeps) {
    this.#socket = socket;
    this.#origin = origin;
    this.#deps = deps;
    const deadline = setTimeout(() => {
      if (this.isStranger) this.close(UNAUTHORIZED, "expected a ticket within 5 seconds");
    }, AUTH_WITHIN_MS).unref();
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    socket.on("pong", () => (this.#isAlive = true));
    // `ws` closes the socket itself, with the code that says why.
    socket.on("error", () => undefined);
    socket.once("close", () => {
      clearTimeout(deadline);
      this.#isClosing = true;
      this.#place?.release();
      for (const subscription of this.#subscriptions.values()) subscription.end();
      this.#drained();
    });
  }

  /** Whoever showed a ticket. */
  get user(): UserPrincipal | null {
    return this.#caller;
  }

  get isStranger(): boolean {
    return this.#caller === null;
  }

  /** Ends a socket whose other end did not answer the ping before. */
  ping(): void {
    if (!this.#isAlive) return this.#socket.terminate();
    this.#isAlive = false;
    this.#socket.ping();
  }

  close(code: number, reason: string): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#socket.close(code, reason);
    setTimeout(() => this.#socket.terminate(), CLOSE_GRACE_MS).unref();
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#isClosing) return;
    if (this.#waiting >= MAX_WAITING_MESSAGES) return this.close(POLICY, "too many messages without an answer");
    this.#waiting += 1;
    this.#turn = this.#turn.then(async () => {
      this.#waiting -= 1;
      if (!this.#isClosing) await this.#answer(isBinary ? null : textOf(data));
    });
  }

  async #answer(text: string | null): Promise<void> {
    const request = parseRequest(text);
    try {
      if (request instanceof ApiError) throw request;
      if (request.type === "auth") await this.#authenticate(request.ticket);
      else if (this.#caller === null)
        throw new ApiError("unauthorized", "the first message must be auth with a ticket");
      else if (request.type === "subscribe") await this.#subscribe(this.#caller, request);
      else this.#unsubscribe(request.channel);
    } catch (error) {
      this.#fail(error, request instanceof ApiError || request.type === "auth" ? undefined : request.channel);
    }
  }

  async #authenticate(ticket: string): Promise<void> {
    if (this.#caller) throw new ApiError("validation-error", "this connection is authenticated already");
    const principal = await this.#deps.tickets.redeem(ticket, WEB_SOCKET_PATH);
    const caller = { ...principal, needs: "runs:read" as const, origin: this.#origin };
    this.#place = this.#deps.streams.open({
      caller,
      workspaceId: null,
      check: (tx) => this.#check(tx),
      close: (reason) => {
        this.#send({ type: "error", code: reason.code, message: reason.message });
        this.close(UNAUTHORIZED, reason.code);
      },
    });
    this.#caller = caller;
    // It may have gone while the ticket was looked up.
    if (this.#isClosing) this.#place.release();
    this.#send({ type: "authenticated" });
  }

  async #subscribe(caller: Caller, { channel, after }: Extract<Request, { type: "subscribe" }>): Promise<void> {
    if (this.#subscriptions.has(channel)) throw new ApiError("validation-error", "you are subscribed to it already");
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS) {
      throw new ApiError("validation-error", `one connection may have ${MAX_SUBSCRIPTIONS} subscriptions`);
    }
    const opened = await this.#deps.channels.open(caller, channel, after ?? null);
    if (this.#isClosing) return;
    const subscription = new Subscription(opened, {
      send: (messages) => this.#sendAll(messages),
      drained: () => this.#whenRoom(),
    });
    this.#subscriptions.set(channel, subscription);
    this.#place?.confirm((tx) => this.#checkOne(tx, channel, subscription));
    this.#send({ type: "subscribed", channel, last_event_id: opened.after });
    opened
      .follow(subscription)
      .catch((error: unknown) => this.#fail(error, channel))
      .finally(() => this.#forget(channel, subscription));
  }

  #unsubscribe(channel: string): void {
    const subscription = this.#subscriptions.get(channel);
    if (!subscription) throw new ApiError("not-found", "you are not subscribed to it");
    this.#forget(channel, subscription);
    this.#send({ type: "unsubscribed", channel });
  }

  #forget(channel: string, subscription: Subscription): void {
    subscription.end();
    if (this.#subscriptions.get(channel) === subscription) this.#subscriptions.delete(channel);
  }

  /** Ends what the caller may not read any more. */
  async #check(tx: Tx): Promise<void> {
    for (const [channel, subscription] of this.#subscriptions) await this.#checkOne(tx, channel, subscription);
  }

  async #checkOne(tx: Tx, channel: string, subscription: Subscription): Promise<void> {
    try {
      await subscription.check(tx);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status >= 500) throw error;
      if (subscription.closed) return;
      this.#forget(channel, subscription);
      this.#fail(error, channel);
    }
  }

  #fail(error: unknown, channel: string | undefined): void {
    const known = error instanceof ApiError ? error : new ApiError("server-error");
    if (!(error instanceof ApiError)) this.#deps.log.error({ err: error }, "a message of a WebSocket failed");
    this.#send({ type: "error", ...(channel === undefined ? {} : { channel }), ...known.toBody() });
    if (this.isStranger) this.close(known.code === "too-many-streams" ? TOO_MANY : UNAUTHORIZED, known.code);
  }

  #send(answer: WebSocketAnswer): void {
    this.#sendAll([Buffer.from(JSON.stringify(answer))]);
  }

  /** What happens is sent up to the bound, whether or not it is taken; history waits for room by itself. False when closed. */
  #sendAll(messages: readonly Buffer[]): boolean {
    if (this.#socket.bufferedAmount > MAX_PENDING_BYTES) {
      this.close(SLOW, "too slow; connect again and go on from your cursor");
      return false;
    }
    if (this.#isClosing) return false;
    for (const message of messages) this.#socket.send(message, { binary: false }, () => this.#sent());
    return true;
  }

  #sent(): void {
    if (this.#whenDrained.size > 0 && this.#socket.bufferedAmount < FULL_BYTES) this.#drained();
  }

  #drained(): void {
    for (const resolve of this.#whenDrained) resolve();
    this.#whenDrained.clear();
  }

  #whenRoom(): Promise<void> {
    if (this.#isClosing || this.#socket.bufferedAmount < FULL_BYTES) return Promise.resolve();
    return new Promise((resolve) => this.#whenDrained.add(resolve));
  }
}

/** A request, or what is wrong with the message. */
function parseRequest(text: string | null): Request | ApiError {
  if (text === null) return new ApiError("validation-error", "expected a text message with one JSON object");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return new ApiError("invalid-json-body", "the message is not JSON");
  }
  const result = webSocketRequestSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  return new ApiError("validation-error", `[message] ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString("utf8");
  return Buffer.isBuffer(data) ? data.toString("utf8") : Buffer.from(data).toString("utf8");
}
