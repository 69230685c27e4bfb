import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Stage } from "./stage.ts";

/**
 * What happens to traffic. `pass`: it goes through. `delay`: it goes through later, in both directions. `refuse`: open connections
 * are cut, nobody listens. `reset`: open connections and new ones are reset. `black-hole`: connections stay open and can be made,
 * but not a byte gets through, in neither direction; what waits is lost when the mode changes.
 */
export type ProxyMode = { kind: "pass" | "refuse" | "reset" | "black-hole" } | { kind: "delay"; milliseconds: number };

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** Bytes were swallowed: what follows would make no sense. */
  isTorn: boolean;
}

/** A way to a TCP port of this machine that can be disturbed. */
export class TcpProxy {
  readonly #target: number;
  readonly #links = new Set<Link>();
  #server: Server | null = null;
  #port = 0;
  #mode: ProxyMode = { kind: "pass" };

  private constructor(target: number) {
    this.#target = target;
  }

  /** To the port of an http URL. */
  static async start(stage: Stage, url: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(Number(new URL(url).port));
    await proxy.#listen();
    stage.onEnd(() => proxy.set({ kind: "refuse" }));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** For all connections, also those that are open; resolves when it holds. */
  async set(mode: ProxyMode): Promise<void> {
    this.#mode = mode;
    for (const link of this.#links) {
      if (mode.kind === "refuse") this.#cut(link, (socket) => socket.destroy());
      else if (mode.kind === "reset" || link.isTorn) this.#cut(link, (socket) => socket.resetAndDestroy());
    }
    if (mode.kind === "refuse") await this.#close();
    else if (this.#server === null) await this.#listen();
  }

  async #listen(): Promise<void> {
    const server = createServer({ allowHalfOpen: false }, (client) => this.#accept(client));
    // The same port again: the other side knows no other.
    server.listen(this.#port, "127.0.0.1");
    await once(server, "listening");
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async #close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.close();
    await once(server, "close");
  }

  #accept(client: Socket): void {
    if (this.#mode.kind === "reset") return void client.resetAndDestroy();
    const link: Link = { client, server: connect(this.#target, "127.0.0.1"), isTorn: false };
    this.#links.add(link);
    this.#forward(link, link.client, link.server);
    this.#forward(link, link.server, link.client);
  }

  #forward(link: Link, from: Socket, to: Socket): void {
    from.setNoDelay(true);
    // When the last delayed bytes are due: none may overtake them.
    let dueAt = 0;
    const carry = (act: () => void) => {
      if (this.#mode.kind === "black-hole") {
        link.isTorn = true;
        return;
      }
      const now = performance.now();
      const delayMs = this.#mode.kind === "delay" ? this.#mode.milliseconds : 0;
      dueAt = Math.max(dueAt, now + delayMs);
      if (dueAt > now) setTimeout(act, dueAt - now);
      else act();
    };
    from.on("data", (chunk) => carry(() => to.write(chunk)));
    from.on("error", () => {});
    // An end is news as well: nobody hears of it in a black hole.
    from.on("close", () => carry(() => this.#cut(link, (socket) => socket.destroy())));
  }

  #cut(link: Link, end: (socket: Socket) => void): void {
    this.#links.delete(link);
    for (const socket of [link.client, link.server]) end(socket);
  }
}
