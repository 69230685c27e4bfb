import { connect, type Socket } from "node:net";

const ARRIVAL_TIMEOUT_MS = 60_000;
const OPENED_AT_ONCE = 50;

/** Many who read one stream, on plain sockets, so that the server is what is measured. */
export class Readers {
  readonly #sockets: Socket[] = [];
  #marker = "";
  #missing = 0;
  #allHave: () => void = () => {};

  /** Resolves when all are connected and have been answered. */
  async open(url: string, path: string, headers: string, count: number): Promise<void> {
    while (this.#sockets.length < count) {
      const batch = Math.min(OPENED_AT_ONCE, count - this.#sockets.length);
      await Promise.all(Array.from({ length: batch }, () => this.#openOne(new URL(url), path, headers)));
    }
  }

  /** Resolves when every reader has received `marker`. Call it before the marker is sent. */
  haveAll(marker: string): Promise<void> {
    this.#marker = marker;
    this.#missing = this.#sockets.length;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${this.#missing} readers did not get it all`)),
        ARRIVAL_TIMEOUT_MS,
      );
      this.#allHave = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #openOne({ hostname, port }: URL, path: string, headers: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      let tail = "";
      let seen = "";
      socket.setNoDelay(true).setEncoding("latin1");
      socket.once("error", reject);
      socket.on("data", (chunk: string) => {
        resolve();
        if (this.#marker === "" || seen === this.#marker) return;
        // The marker may come in two pieces.
        const text = tail + chunk;
        tail = text.slice(-this.#marker.length);
        if (!text.includes(this.#marker)) return;
        seen = this.#marker;
        tail = "";
        this.#missing -= 1;
        if (this.#missing === 0) this.#allHave();
      });
      socket.write(`GET ${path} HTTP/1.1\r\nhost: ${hostname}:${port}\r\n${headers}\r\n\r\n`);
      this.#sockets.push(socket);
    });
  }
}
