import { ERROR_CODES, type ErrorCode } from "@shipfox/shared/errors";
import { errorSchema } from "@shipfox/shared/api/values";
import type { z } from "zod";
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponsesObject,
} from "zod-openapi";
import type { Route } from "./route.ts";

const SECURITY = {
  user: "userToken",
  registration: "registrationToken",
  "runner-session": "runnerSession",
  lease: "jobLease",
} as const;

const BEARER_DESCRIPTIONS = {
  userToken:
    "Access token of a user, from POST /auth/login, or a personal access token sf_pat_… with the ability of `x-needs`",
  registrationToken: "sf_mrt_… or a runner's own sf_rt_…",
  runnerSession: "Session token of a runner, from POST /runners/register",
  jobLease: "Lease token of a claimed job",
};

const RAW_CONTENT = { schema: { type: "string" as const } };

/** The OpenAPI 3.1 document of a table of routes. */
export function createOpenApi(routes: readonly Route[], version: string): ReturnType<typeof createDocument> {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of routes) {
    const path = (paths[route.path] ??= {});
    path[route.method.toLowerCase() as "get"] = operation(route);
  }
  return createDocument({
    openapi: "3.1.0",
    info: { title: "Shipfox, self-hosted", version, license: { name: "MIT", identifier: "MIT" } },
    paths,
    components: {
      securitySchemes: Object.fromEntries(
        Object.entries(BEARER_DESCRIPTIONS).map(
          ([name, description]) => [name, { type: "http", scheme: "bearer", description }] as const,
        ),
      ),
    },
  });
}

function operation(route: Route): ZodOpenApiOperationObject {
  const body = route.raw
    ? { requestBody: { content: Object.fromEntries([route.raw].flat().map((type) => [type, RAW_CONTENT])) } }
    : route.body
      ? { requestBody: { required: !route.optionalBody, content: { "application/json": { schema: route.body } } } }
      : {};
  return {
    tags: [route.tag],
    summary: route.summary,
    requestParams: {
      ...(route.params ? { path: route.params as z.ZodObject } : {}),
      ...(route.query ? { query: route.query as z.ZodObject } : {}),
    },
    ...body,
    // What a caller needs, and what the audit log says of the call.
    ...(route.needs ? { "x-needs": route.needs } : {}),
    ...(route.audit ? { "x-audit": route.audit } : {}),
    ...(route.credential === "none" ? {} : { security: [{ [SECURITY[route.credential]]: [] }] }),
    responses: responses(route),
  };
}

function responses(route: Route): ZodOpenApiResponsesObject {
  const result: ZodOpenApiResponsesObject = {};
  for (const [status, schema] of Object.entries(route.responses)) {
    result[status as "200"] =
      schema === null
        ? { description: "Done; no body" }
        : schema === "sse"
          ? { description: "Server-sent events", content: { "text/event-stream": { schema: { type: "string" } } } }
          : schema === "text"
            ? { description: "Text", content: { "text/plain": { schema: { type: "string" } } } }
            : { description: "Done", content: { "application/json": { schema } } };
  }
  for (const [status, codes] of errorsByStatus(route)) {
    result[status as "400"] = {
      description: codes.map((code) => `\`${code}\`: ${ERROR_CODES[code][1]}`).join("\n\n"),
      content: { "application/json": { schema: errorSchema } },
    };
  }
  return result;
}

function errorsByStatus(route: Route): [string, ErrorCode[]][] {
  const codes: ErrorCode[] = [
    ...(route.errors ?? []),
    ...(route.body || route.query || route.params ? (["validation-error"] as const) : []),
    ...(route.body ? (["invalid-json-body", "empty-json-body"] as const) : []),
    ...(route.body || typeof route.raw === "string" ? (["invalid-media-type"] as const) : []),
    ...(typeof route.raw === "object" ? (["unsupported-media-type"] as const) : []),
    ...(route.method === "GET" ? [] : (["body-too-large"] as const)),
    ...(route.credential === "none" ? [] : (["unauthorized"] as const)),
    "server-error",
  ];
  return [...Map.groupBy(new Set(codes), (code) => String(ERROR_CODES[code][0]))];
}
