import { STATUS_CODES } from "node:http";
import type { Reply } from "./route.ts";

const PROBLEM_TYPE = "application/problem+json";

interface ErrorBody {
  readonly code: string;
  readonly message: string;
  readonly details?: unknown;
}

/** An error as RFC 7807 for whoever asks for it with `Accept: application/problem+json`; any other reply as it is. */
export function asAccepted(reply: Reply, accept: string | undefined, path: string): Reply {
  if (!accept?.includes(PROBLEM_TYPE) || reply.status < 400 || !("body" in reply)) return reply;
  if (!accepts(accept) || !isErrorBody(reply.body)) return reply;
  const { code, message, details } = reply.body;
  const problem = {
    type: `/docs/errors/${code}`,
    title: STATUS_CODES[reply.status] ?? code,
    status: reply.status,
    detail: message,
    instance: path,
    code,
    ...(details === undefined ? {} : { details }),
  };
  return { ...reply, body: problem, headers: { ...reply.headers, "content-type": `${PROBLEM_TYPE}; charset=utf-8` } };
}

function accepts(header: string): boolean {
  return header.split(",").some((range) => {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    return type === PROBLEM_TYPE && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter));
  });
}

function isErrorBody(body: unknown): body is ErrorBody {
  return typeof body === "object" && body !== null && "code" in body && "message" in body;
}
