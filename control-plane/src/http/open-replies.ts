import type { ServerResponse } from "node:http";

/** The replies of the servers that have not gone out yet, and whether more are wanted on their connections. */
export class OpenReplies {
  readonly #open = new Set<ServerResponse>();
  #isStopping = false;

  add(response: ServerResponse): void {
    if (this.#isStopping) return lastOfItsConnection(response);
    this.#open.add(response);
    response.once("close", () => this.#open.delete(response));
  }

  /** From now on each connection ends with the reply it waits for: clients that poll must not come back on it. */
  stop(): void {
    this.#isStopping = true;
    for (const response of this.#open) lastOfItsConnection(response);
  }
}

function lastOfItsConnection(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader("connection", "close");
}
