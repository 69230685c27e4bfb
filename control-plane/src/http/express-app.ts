import { ApiError } from "@shipfox/shared/errors";
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
} from "express";
import helmet from "helmet";
import { DEFAULT_BODY_LIMIT_BYTES, errorReply, execute, type Services } from "./execute.ts";
import { countCall, discardBody, rawRequest, sendReply } from "./hot-handler.ts";
import type { Proven } from "./authenticate.ts";
import type { Credential, Reply, Route } from "./route.ts";

/** Every route behind Express, which adds the security headers; unknown paths answer 404 `not-found`. */
export function createExpressApp(routes: readonly Route[], services: Services): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.use(
    helmet({
      contentSecurityPolicy: {
        directives: { defaultSrc: ["'none'"], styleSrc: ["'unsafe-inline'"], frameAncestors: ["'none'"] },
      },
    }),
  );
  for (const route of routes) {
    const limit = route.bodyLimitBytes ?? DEFAULT_BODY_LIMIT_BYTES;
    const method = route.method.toLowerCase() as "get" | "post" | "put" | "patch" | "delete";
    app[method](
      expressPath(route.path),
      refuseStrangers(route, services),
      express.raw({ type: () => true, limit, inflate: false }),
      async (request: Request, response: Response) => {
        const query = new URLSearchParams(request.url.split("?").slice(1).join("?"));
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
        const reply = await execute(
          route,
          response.locals["proven"],
          rawRequest(request, response, { params: request.params as Record<string, string>, query, body }, services),
          services,
        );
        sendReply(response, withoutUndeclaredFields(route, reply));
      },
    );
  }
  app.use((request: Request, response: Response) => {
    sendReply(
      response,
      errorReply(
        new ApiError("not-found", `there is no ${request.method} ${request.path}; see /openapi.json`),
        services.log,
      ),
    );
  });
  app.use(bodyErrors(services));
  return app;
}

/** Authenticates and counts before a byte of the body is kept. */
function refuseStrangers(route: Route, services: Services): RequestHandler {
  return async (request, response, next) => {
    try {
      const proven = await prove(route, request, services);
      services.accessLog?.proven(request, route.credential, proven);
      countCall(route, proven, request, response, services);
      response.locals["proven"] = proven;
    } catch (error) {
      discardBody(request, response);
      sendReply(response, errorReply(error, services.log));
      return;
    }
    next();
  };
}

/** By the header; streams also by a ticket in the query, for clients that cannot send headers. */
async function prove(route: Route, request: Request, { authenticate, tickets }: Services): Promise<Proven<Credential>> {
  const { authorization } = request.headers;
  const isStream = route.credential === "user" && Object.values(route.responses).includes("sse");
  const ticket = isStream && authorization === undefined ? request.query["ticket"] : undefined;
  return typeof ticket === "string"
    ? tickets.redeem(ticket, request.path)
    : authenticate(route.credential, authorization);
}

/** `/runs/{id}` is Express' `/runs/:id`. */
function expressPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ":$1");
}

/** Replies go through their declared schema, so that a field nobody declared never leaks. */
function withoutUndeclaredFields(route: Route, reply: Reply): Reply {
  if ("stream" in reply || "chunks" in reply) return reply;
  const schema = route.responses[reply.status];
  if (!schema || typeof schema === "string" || reply.body === undefined) return reply;
  // A page for browsers in place of the JSON.
  if (typeof reply.body === "string" || Buffer.isBuffer(reply.body)) return reply;
  return { ...reply, body: schema.parse(reply.body) };
}

function bodyErrors(services: Services): ErrorRequestHandler {
  return (error: { type?: string; limit?: number }, _request, response, _next) => {
    const known =
      error.type === "entity.too.large"
        ? new ApiError("body-too-large", `the body is over the limit of ${error.limit} bytes`)
        : error.type === "request.size.invalid" || error.type === "request.aborted"
          ? new ApiError("invalid-content-length", "the body is shorter or longer than its content length")
          : error.type === "encoding.unsupported"
            ? new ApiError("invalid-media-type", "the content encoding is not supported")
            : error instanceof URIError
              ? new ApiError("validation-error", "[params] the path is not valid percent-encoding")
              : error;
    sendReply(response, errorReply(known, services.log));
  };
}
