import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { AccessLog } from "./access-log.ts";
import type { AllowedOrigins } from "./cors.ts";
import type { ClientAddress } from "./client-address.ts";
import { requestId } from "./request-id.ts";
import { originOf } from "./origin.ts";
import { MAX_MESSAGE_BYTES, SocketSession, type SocketDeps, WEB_SOCKET_PATH } from "./socket-session.ts";

const PING_EVERY_MS = 30_000;
/** Sockets that have not shown a ticket yet. */
const MAX_STRANGERS = 256;
const GOING_AWAY = 1_001;
/** The status of a request that became a WebSocket. */
const SWITCHED = 101;

export interface WebSocketDeps extends SocketDeps {
  /** Pages of other hosts that may connect, as for requests. */
  readonly origins: Pick<AllowedOrigins, "allows">;
  readonly clientAddress: ClientAddress;
  readonly accessLog: AccessLog | null;
  /** Whoever has not answered the ping before by then is cut off. 30 seconds. */
  readonly pingEveryMs?: number;
}

export interface WebSockets {
  /** For the server's event `upgrade`. */
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** Closes all of them; clients come back with their cursors. */
  close(): void;
}

/**
 * Whether a request asks for a WebSocket. Some clients offer HTTP/2 with each of their requests; these are answered as if
 * they had not, which is what RFC 9110, 7.8 asks of who does not know the protocol.
 */
export function asksForWebSocket({ headers }: Pick<IncomingMessage, "headers">): boolean {
  return headers.upgrade?.toLowerCase() === "websocket";
}

/** `GET /ws`: events by channel over one connection, on the port of everything else. */
export function createWebSockets(deps: WebSocketDeps): WebSockets {
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false });
  const sessions = new Set<SocketSession>();
  const pings = setInterval(() => {
    for (const session of sessions) session.ping();
  }, deps.pingEveryMs ?? PING_EVERY_MS).unref();

  return {
    onUpgrade: (request, socket, head) => {
      // Without a listener a connection that breaks here would end the process.
      socket.on("error", () => socket.destroy());
      const status = refusal(request);
      const over = deps.accessLog?.followUpgrade(request, status === 404 ? "unknown" : WEB_SOCKET_PATH);
      if (status !== null) {
        refuse(socket, status);
        return over?.(status, null);
      }
      // Now, because a socket that has closed knows no address any more.
      const facts = { ip: deps.clientAddress(request), id: requestId(request), header: headerOf(request) };
      server.handleUpgrade(request, socket, head, (webSocket) => {
        const session = new SocketSession(webSocket, originOf(facts), deps);
        sessions.add(session);
        webSocket.once("close", () => {
          sessions.delete(session);
          over?.(SWITCHED, session.user);
        });
      });
    },
    close: () => {
      clearInterval(pings);
      for (const session of sessions) session.close(GOING_AWAY, "the server is stopping");
    },
  };

  function refusal(request: IncomingMessage): number | null {
    const { origin, host } = request.headers;
    if (request.url?.split("?", 1)[0] !== WEB_SOCKET_PATH) return 404;
    // A page of this server's own needs no leave, by whatever name it was reached.
    const isOther = origin !== undefined && origin.replace(/^https?:\/\//, "") !== host;
    if (isOther && !deps.origins.allows(origin)) return 403;
    const strangers = [...sessions].filter((session) => session.isStranger).length;
    return strangers >= MAX_STRANGERS ? 503 : null;
  }
}

function headerOf(request: IncomingMessage): (name: string) => string | undefined {
  return (name) => {
    const value = request.headers[name];
    return Array.isArray(value) ? value[0] : value;
  };
}

function refuse(socket: Duplex, status: number): void {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}
