import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";

const REQUEST_ID_PATTERN = /^[\w.:-]{1,128}$/;
/** A client that mistook the header must not bring a credential into logs. */
const LOOKS_LIKE_TOKEN = /sf_[a-z]+_|eyJ/;
const requestIds = new WeakMap<IncomingMessage, string>();

/** The id under which a client, the log and the audit log speak of a request; only an orderly one is taken from the client. */
export function requestId(incoming: IncomingMessage): string {
  const known = requestIds.get(incoming);
  if (known !== undefined) return known;
  const sent = incoming.headers["x-request-id"];
  const id =
    typeof sent === "string" && REQUEST_ID_PATTERN.test(sent) && !LOOKS_LIKE_TOKEN.test(sent) ? sent : randomUUID();
  requestIds.set(incoming, id);
  return id;
}
