import type { RequestListener } from "node:http";
import type { AccessLog } from "./access-log.ts";
import { type AllowedOrigins, answerCors } from "./cors.ts";
import { requestId } from "./request-id.ts";

/** What every reply has, whichever handler gives it: the request's id, and what pages of other origins may do. */
export function createFrontDoor(
  allowed: AllowedOrigins,
  accessLog: AccessLog | null,
  next: RequestListener,
): RequestListener {
  return (incoming, response) => {
    accessLog?.follow(incoming, response);
    response.setHeader("x-request-id", requestId(incoming));
    if (!answerCors(incoming, response, allowed)) next(incoming, response);
  };
}
