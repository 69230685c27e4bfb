import { createParser, type EventSourceMessage } from "eventsource-parser";
import { backOff } from "./back-off.ts";
import { ClientError, connectionFailed } from "./client-error.ts";

/** The server pings every 15 s; after this silence the connection is dead. */
const SILENCE_MS = 45_000;
/** How long a stream may stay out of reach before following it is given up. */
const OUTAGE_MS = 120_000;
/** Above the largest record (4 MiB of an agent's session line) with room for the frame around it. */
const MAX_FRAME_CHARS = 16 * 1024 * 1024;

/** The connection ended in the middle: the ordinary reason to connect again. */
class Interrupted extends Error {}

export interface StreamOptions {
  /** Aborting ends the stream quietly. */
  readonly signal?: AbortSignal;
  readonly silenceMs?: number;
  readonly outageMs?: number;
}

/** What a stream tells of its connection, beside what it is about. */
export type ConnectionSign =
  | { readonly kind: "connected" }
  /** The connection was lost and is being made again; nothing is lost. */
  | { readonly kind: "reconnecting" };

/** What one stream is made of. */
export interface StreamReader<Item> {
  /** For error messages: `the log stream`. */
  readonly name: string;
  /** Asks for what comes behind the last message that was read. */
  open(signal: AbortSignal): Promise<Response>;
  /** Called for each message in order; what it throws ends the stream as a reply of an unknown shape. */
  read(message: EventSourceMessage): readonly Item[];
  /** Whether this was the last item. */
  isEnd(item: Item): boolean;
}

/**
 * Follows one stream of server-sent events from its start to its end, over any number of connections. Ends without its
 * last item when the signal is aborted. Throws ClientError when the server refuses, or after an outage of `outageMs`.
 */
export async function* followStream<Item>(
  reader: StreamReader<Item>,
  options: StreamOptions,
): AsyncGenerator<Item | ConnectionSign, void> {
  const { signal = new AbortController().signal, outageMs = OUTAGE_MS, silenceMs = SILENCE_MS } = options;
  let failures = 0;
  let lastContact = performance.now();
  while (!signal.aborted) {
    let failure: ClientError | undefined;
    try {
      for await (const message of readConnection(reader, signal, silenceMs)) {
        if (message === "open") {
          yield { kind: "connected" };
          continue;
        }
        // An open connection proves nothing yet: a proxy may accept and close for ever.
        lastContact = performance.now();
        failures = 0;
        if (message === "ping") continue;
        for (const item of readMessage(reader, message)) {
          yield item;
          if (reader.isEnd(item)) return;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Interrupted)) {
        if (!(error instanceof ClientError && error.isTransient)) throw error;
        failure = error;
        // The server is there; a place among the open streams comes when another one ends.
        if (failure.code === "too-many-streams") lastContact = performance.now();
      }
    }
    if (signal.aborted) return;
    failures += 1;
    if (performance.now() - lastContact > outageMs)
      throw failure ?? connectionFailed(reader.name, "the connection was cut again and again");
    yield { kind: "reconnecting" };
    await backOff(failures, signal, failure).catch(() => undefined);
  }
}

function readMessage<Item>(reader: StreamReader<Item>, message: EventSourceMessage): readonly Item[] {
  try {
    return reader.read(message);
  } catch (error) {
    throw unreadable(reader.name, error instanceof Error ? error.message : String(error), error);
  }
}

type ConnectionMessage = "open" | "ping" | EventSourceMessage;

async function* readConnection<Item>(
  reader: StreamReader<Item>,
  signal: AbortSignal,
  silenceMs: number,
): AsyncGenerator<ConnectionMessage, void> {
  const silence = new AbortController();
  const response = await reader.open(AbortSignal.any([signal, silence.signal]));
  if (!response.body) throw unreadable(reader.name, "the answer has no body");
  yield "open";

  const messages: ConnectionMessage[] = [];
  const parser = createParser({
    onEvent: (message) => messages.push(message),
    onComment: () => messages.push("ping"),
    maxBufferSize: MAX_FRAME_CHARS,
    onError: (error) => {
      if (error.type === "max-buffer-size-exceeded") throw unreadable(reader.name, error.message, error);
    },
  });
  const decoder = new TextDecoder();
  const bytes = response.body.getReader();
  try {
    for (;;) {
      const timer = setTimeout(() => silence.abort(), silenceMs);
      const chunk = await bytes
        .read()
        .catch((error: unknown) => Promise.reject(new Interrupted("connection cut", { cause: error })))
        .finally(() => clearTimeout(timer));
      if (chunk.done) return;
      parser.feed(decoder.decode(chunk.value, { stream: true }));
      yield* messages.splice(0);
    }
  } finally {
    await bytes.cancel().catch(() => undefined);
  }
}

function unreadable(name: string, reason: string, cause?: unknown): ClientError {
  const sentence = `${name.charAt(0).toUpperCase()}${name.slice(1)} cannot be read: ${reason}.`;
  return new ClientError(sentence, { code: "unexpected-reply", cause });
}
