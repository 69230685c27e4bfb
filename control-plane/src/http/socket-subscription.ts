import type { Tx } from "../store/store.ts";
import type { ChannelSink, OpenChannel } from "./channels.ts";

/** The socket as one subscription sees it. */
interface Outlet {
  send(messages: readonly Buffer[]): boolean;
  drained(): Promise<void>;
}

/** One channel on one socket, until it is unsubscribed, over or forbidden, or the socket closes. */
export class Subscription implements ChannelSink {
  readonly #channel: OpenChannel;
  readonly #outlet: Outlet;
  readonly #onClose: (() => void)[] = [];
  #closed = false;

  constructor(channel: OpenChannel, outlet: Outlet) {
    this.#channel = channel;
    this.#outlet = outlet;
  }

  get closed(): boolean {
    return this.#closed;
  }

  check(tx: Tx): Promise<void> {
    return this.#channel.check(tx);
  }

  write(messages: readonly Buffer[]): boolean {
    return !this.#closed && this.#outlet.send(messages);
  }

  drained(): Promise<void> {
    return this.#closed ? Promise.resolve() : this.#outlet.drained();
  }

  onClose(callback: () => void): void {
    if (this.#closed) callback();
    else this.#onClose.push(callback);
  }

  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const callback of this.#onClose) callback();
  }
}
