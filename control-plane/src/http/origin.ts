import type { AuditActor, Origin } from "../store/store.ts";
import type { RequestFacts } from "./route.ts";

/** From where a request comes, as the audit log keeps it. */
export function originOf(request: Pick<RequestFacts, "ip" | "id" | "header">): Origin {
  return { ip: request.ip, requestId: request.id, userAgent: request.header("user-agent") ?? null, at: Date.now() };
}

/** Somebody who is not signed in. */
export function stranger(request: RequestFacts): AuditActor {
  return { userId: null, token: null, origin: originOf(request) };
}
