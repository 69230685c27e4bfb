import type { RequestListener } from "node:http";
import type { AccessLog } from "./access-log.ts";
import { type AllowedOrigins, answerCors } from "./cors.ts";
import type { OpenReplies } from "./open-replies.ts";
import { requestId } from "./request-id.ts";

export interface FrontDoorDeps {
  readonly accessLog: AccessLog | null;
  readonly replies: OpenReplies;
}

/** What every reply has, whichever handler gives it: the request's id, and what pages of other origins may do. */
export function createFrontDoor(
  allowed: AllowedOrigins,
  { accessLog, replies }: FrontDoorDeps,
  next: RequestListener,
): RequestListener {
  return (incoming, response) => {
    accessLog?.follow(incoming, response);
    replies.add(response);
    response.setHeader("x-request-id", requestId(incoming));
    if (!answerCors(incoming, response, allowed)) next(incoming, response);
  };
}
