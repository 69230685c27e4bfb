import type { Server } from "node:http";

/** How long a stop waits for requests that are being answered. */
const REQUESTS_LIMIT_MS = 5_000;
/** How long the connections that are cut then may take to go: what became of one, an upgrade say, is not known here. */
const CUT_LIMIT_MS = 500;
const IDLE_LOOK_MS = 100;

/** Takes no connection any more at once, lets requests that are being answered finish, and cuts what is left after 5 seconds. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // A connection whose client took its last answer, but does not hang up.
    const idle = setInterval(() => server.closeIdleConnections(), IDLE_LOOK_MS);
    const done = () => {
      clearInterval(idle);
      clearTimeout(cut);
      clearTimeout(giveUp);
      resolve();
    };
    const cut = setTimeout(() => server.closeAllConnections(), REQUESTS_LIMIT_MS);
    const giveUp = setTimeout(done, REQUESTS_LIMIT_MS + CUT_LIMIT_MS);
    server.close(done);
    server.closeIdleConnections();
  });
}
