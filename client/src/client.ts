import { type EventStreamItem, followEvents } from "./event-stream.ts";
import { unexpectedReply } from "./client-error.ts";
import type { StreamOptions } from "./event-source.ts";
import { followLog, type LogStreamItem, type OpenStream } from "./log-stream.ts";
import type { Input, Operation, Output } from "./operation.ts";
import { OPERATIONS } from "./operations.ts";
import { type CallOptions, type ClientOptions, type Reply, Transport } from "./transport.ts";

/** The input may be left out where nothing in it must be given. */
type Arguments<Op extends Operation, Options> =
  Record<never, never> extends Input<Op>
    ? [input?: Input<Op>, options?: Options]
    : [input: Input<Op>, options?: Options];

interface PlainCall<Op extends Operation> {
  (...args: Arguments<Op, CallOptions>): Promise<Output<Op>>;
  /** The same call, answered with status, headers and request id around the body. */
  reply(...args: Arguments<Op, CallOptions>): Promise<Reply<Output<Op>>>;
}

type ItemOf<Op extends Operation, Items extends string> =
  Output<Op> extends { [Key in Items]: readonly (infer Item)[] } ? Item : never;

interface PagedCall<Op extends Operation & { readonly items: string }> extends PlainCall<Op> {
  /** Every page from `cursor` on, or from the start, fetched as it is asked for. */
  pages(...args: Arguments<Op, CallOptions>): AsyncGenerator<Output<Op>, void>;
  /** Every item of every page. */
  items(...args: Arguments<Op, CallOptions>): AsyncGenerator<ItemOf<Op, Op["items"]>, void>;
}

type StreamCall<Op extends Operation, Item> = (...args: Arguments<Op, StreamOptions>) => AsyncGenerator<Item, void>;

/** Answers the response with its body unread; the caller must read or cancel it. */
type FileCall<Op extends Operation> = (...args: Arguments<Op, FileOptions>) => Promise<Response>;

/** `range` is the header's, as `bytes=0-1023`. */
export interface FileOptions {
  readonly range?: string;
  readonly signal?: AbortSignal;
}

type CallOf<Op extends Operation> = Op["reply"] extends "run-events"
  ? StreamCall<Op, EventStreamItem>
  : Op["reply"] extends "log"
    ? StreamCall<Op, LogStreamItem>
    : Op["reply"] extends "file"
      ? FileCall<Op>
      : Op extends { readonly items: string }
        ? PagedCall<Op>
        : PlainCall<Op>;

type Operations = typeof OPERATIONS;

/**
 * One method for each operation, in the groups of the API's description. A call takes one object with its path
 * parameters, query and fields of the body; rejects with `ClientError`, or with the reason of an aborted signal.
 */
export type Client = { readonly baseUrl: string } & {
  readonly [Group in keyof Operations]: {
    readonly [Name in keyof Operations[Group]]: Operations[Group][Name] extends Operation
      ? CallOf<Operations[Group][Name]>
      : never;
  };
};

/** A client of one control plane. Opens nothing until it is called, and needs no closing. */
export function createClient(options: ClientOptions): Client {
  const transport = new Transport(options);
  const groups = Object.entries(OPERATIONS).map(([group, operations]) => [
    group,
    Object.fromEntries(Object.entries(operations).map(([name, operation]) => [name, callOf(transport, operation)])),
  ]);
  return { baseUrl: options.baseUrl, ...Object.fromEntries(groups) } as Client;
}

function callOf(transport: Transport, operation: Operation): object {
  if (operation.reply === "log" || operation.reply === "run-events") {
    const follow = operation.reply === "log" ? followLog : followEvents;
    return (input: object = {}, options: StreamOptions = {}) => follow(opener(transport, operation, input), options);
  }
  if (operation.reply === "file") {
    return (input: object = {}, { range, signal }: FileOptions = {}) => {
      const headers: Record<string, string> = range === undefined ? {} : { range };
      return transport.stream(operation, input, headers, signal ?? new AbortController().signal);
    };
  }
  const reply = (input: object = {}, options: CallOptions = {}) => transport.call(operation, input, options);
  const call = async (input?: object, options?: CallOptions) => (await reply(input, options)).body;
  if (operation.items === undefined) return Object.assign(call, { reply });
  const { items } = operation;
  const pages = (input?: object, options?: CallOptions) => readPages(operation, call, input, options);
  return Object.assign(call, {
    reply,
    pages,
    async *items(input?: object, options?: CallOptions) {
      for await (const page of pages(input, options)) yield* page[items] as unknown[];
    },
  });
}

function opener(transport: Transport, operation: Operation, input: object): OpenStream {
  return (lastId, signal) =>
    transport.stream(
      operation,
      input,
      { accept: "text/event-stream", ...(lastId === null ? {} : { "last-event-id": lastId }) },
      signal,
    );
}

async function* readPages(
  operation: Operation,
  call: (input?: object, options?: CallOptions) => Promise<unknown>,
  input?: object,
  options?: CallOptions,
): AsyncGenerator<Record<string, unknown>, void> {
  for (let cursor: unknown; ; ) {
    const page = (await call(cursor === undefined ? input : { ...input, cursor }, options)) as Record<string, unknown>;
    yield page;
    const next = page.next_cursor;
    if (next === null) return;
    if (next === cursor) throw unexpectedReply(`${operation.method} ${operation.path}`, ": a page leads to itself");
    cursor = next;
  }
}
