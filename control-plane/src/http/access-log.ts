import type { IncomingMessage, ServerResponse } from "node:http";
import { performance } from "node:perf_hooks";
import { standardError } from "@shipfox/shared/standard-error";
import { tokenPrefix } from "@shipfox/shared/tokens";
import { pino } from "pino";
import type { Proven } from "./authenticate.ts";
import type { UserPrincipal } from "./caller.ts";
import type { ClientAddress } from "./client-address.ts";
import { requestId } from "./request-id.ts";
import type { Credential, LeasePrincipal, Route, RunnerSessionPrincipal } from "./route.ts";

/** Bytes that wait for whoever reads standard error; with more, lines are left out. Fewer than the log may leave waiting: it goes on. */
const MAX_WAITING_BYTES = 1024 * 1024;

export type ActorKind =
  | "user"
  | "access-token"
  | "registration-token"
  | "runner-session"
  | "job-execution"
  | "provisioner-token";

/** Who called, as his credential proved; `id` is what lists show of him, of a token that is looked up later its first characters. */
interface Actor {
  readonly kind: ActorKind;
  readonly id: string;
}

/** One line of the access log. It has these fields and no others: nothing in it is chosen by a client but the request's id. */
export interface AccessLine {
  readonly request_id: string;
  readonly method: string;
  /** The template of the path; `unknown` for a path that leads nowhere. */
  readonly route: string;
  /** Null when the client hung up before there was an answer. */
  readonly status: number | null;
  readonly duration_ms: number;
  /** What its connection was given to send meanwhile, headers included. */
  readonly bytes: number;
  readonly actor_kind: ActorKind | null;
  readonly actor_id: string | null;
  readonly remote_address: string;
}

/** What is known of a request while it is answered. */
interface Open {
  route: string;
  actor: Actor | null;
}

/** Writes a line for each request that is over, also for one that its client gave up, and for each WebSocket. */
export class AccessLog {
  readonly #clientAddress: ClientAddress;
  readonly #write: (line: AccessLine) => void;
  readonly #open = new WeakMap<IncomingMessage, Open>();

  constructor(clientAddress: ClientAddress, write: (line: AccessLine) => void) {
    this.#clientAddress = clientAddress;
    this.#write = write;
  }

  /** A request has arrived; nothing is known of it yet. */
  follow(incoming: IncomingMessage, response: ServerResponse): void {
    const end = this.#begin(incoming);
    response.once("close", () => end(response.headersSent ? response.statusCode : null));
  }

  /** A request that becomes a WebSocket, or is refused. Answers what to call when that is over. */
  followUpgrade(incoming: IncomingMessage, path: string): (status: number, user: UserPrincipal | null) => void {
    const end = this.#begin(incoming);
    this.routed(incoming, path);
    return (status, user) => {
      if (user) this.proven(incoming, "user", user);
      end(status);
    };
  }

  routed(incoming: IncomingMessage, route: Route["path"]): void {
    const open = this.#open.get(incoming);
    if (open) open.route = route;
  }

  proven(incoming: IncomingMessage, credential: Credential, proven: Proven<Credential>): void {
    const open = this.#open.get(incoming);
    if (open) open.actor = actorOf(credential, proven);
  }

  #begin(incoming: IncomingMessage): (status: number | null) => void {
    const open: Open = { route: "unknown", actor: null };
    this.#open.set(incoming, open);
    const { socket, method = "GET" } = incoming;
    // Now, because a socket that has closed knows no address any more.
    const address = this.#clientAddress(incoming);
    const beganAt = performance.now();
    const bytesBefore = socket.bytesWritten;
    return (status) =>
      this.#write({
        request_id: requestId(incoming),
        method,
        route: open.route,
        status,
        duration_ms: Math.round((performance.now() - beganAt) * 10) / 10,
        bytes: socket.bytesWritten - bytesBefore,
        actor_kind: open.actor?.kind ?? null,
        actor_id: open.actor?.id ?? null,
        remote_address: address,
      });
  }
}

function actorOf(credential: Credential, proven: Proven<Credential>): Actor | null {
  switch (credential) {
    case "none":
      return null;
    case "user": {
      const { userId, token } = proven as UserPrincipal;
      return token ? { kind: "access-token", id: token.id } : { kind: "user", id: userId };
    }
    case "runner-session":
      return { kind: "runner-session", id: (proven as RunnerSessionPrincipal).sessionId };
    case "lease":
      return { kind: "job-execution", id: (proven as LeasePrincipal).executionId };
    case "registration":
      return { kind: "registration-token", id: tokenPrefix((proven as { token: string }).token) };
    case "provisioner":
      return { kind: "provisioner-token", id: tokenPrefix((proven as { token: string }).token) };
  }
}

/**
 * Lines of JSON on standard error, beside the log. A reader that falls behind costs lines, never time of a request. The next
 * line then says how many, as `dropped`.
 */
export function openAccessLog(): (line: AccessLine) => void {
  let dropped = 0;
  const output = {
    write(line: string): void {
      if (!standardError().write(line, MAX_WAITING_BYTES)) dropped += 1;
    },
  };
  const log = pino({ name: "access" }, output);
  return (line) => {
    const lost = dropped;
    dropped = 0;
    log.info(lost === 0 ? line : { ...line, dropped: lost });
    // This line may have been dropped as well, with what it told.
    if (dropped > 0) dropped += lost;
  };
}
