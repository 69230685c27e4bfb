import type { Tx } from "../store/store.ts";
import type { Caller } from "./caller.ts";

/** Where the messages of one subscription go. */
export interface ChannelSink {
  readonly closed: boolean;
  /** Sends texts as they are; false when it has closed. */
  write(messages: readonly Buffer[]): boolean;
  /** Settles when there is room for more of the history. */
  drained(): Promise<void>;
  onClose(callback: () => void): void;
}

export interface OpenChannel {
  /** The number of the event behind which it begins. */
  readonly after: number;
  /** Throws ApiError when the caller may no longer read it. */
  check(tx: Tx): Promise<void>;
  /** Settles when there is nothing more to come, or when the sink has closed. */
  follow(sink: ChannelSink): Promise<void>;
}

/** What can be subscribed to. Implemented by the events module. */
export interface Channels {
  /** `after` null begins as the channel does for one who is new. Throws ApiError. */
  open(caller: Caller, channel: string, after: number | null): Promise<OpenChannel>;
}
