import { ERROR_CODES, type ErrorCode } from "@shipfox/shared/errors";
import { errorSchema, problemSchema } from "@shipfox/shared/api/values";
import { z } from "zod";
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponsesObject,
} from "zod-openapi";
import { isAbility } from "./abilities.ts";
import { exampleOf } from "./examples.ts";
import { DEFAULT_BODY_LIMIT_BYTES } from "./execute.ts";
import { needInWords, operationName, PARAMETERS, TAGS } from "./openapi-words.ts";
import { rateClassOf } from "./rate-limits.ts";
import { takesKey } from "./idempotency.ts";
import type { Route } from "./route.ts";

const SECURITY = {
  user: "userToken",
  registration: "registrationToken",
  "runner-session": "runnerSession",
  lease: "jobLease",
  provisioner: "provisionerToken",
} as const;

const BEARER_DESCRIPTIONS = {
  userToken:
    "Access token of a user, from POST /auth/login, or a personal access token sf_pat_… with the ability of `x-needs`",
  registrationToken: "sf_mrt_…, sf_ert_… of a runner instance, or a runner's own sf_rt_…",
  runnerSession: "Session token of a runner, from POST /runners/register",
  jobLease: "Lease token of a claimed job",
  provisionerToken: "sf_pt_…",
};

const INTRODUCTION = `JSON in and out, ids are UUIDs, times RFC 3339 in UTC. Every error is \`{code, message, details?}\`; with
\`Accept: application/problem+json\` the same as RFC 7807. \`x-needs\` of a route is what its caller must be allowed to do, \`x-audit\`
what the audit log says of the call, \`x-rate-class\` which calls a minute it counts towards. Every reply carries \`X-Request-Id\`.`;

const keyHeader = z.object({
  "Idempotency-Key": z
    .string()
    .regex(/^[\x21-\x7e]{1,256}$/)
    .optional()
    .meta({ description: "Makes the call count once within 24 hours, however often it is sent" }),
});

const RAW_CONTENT = { schema: { type: "string" as const } };
const PROBLEM_TYPE = "application/problem+json";
const MIB = 1024 * 1024;

/** The OpenAPI 3.1 document of a table of routes. */
export function createOpenApi(routes: readonly Route[], version: string): ReturnType<typeof createDocument> {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of routes) {
    const path = (paths[route.path] ??= {});
    path[route.method.toLowerCase() as "get"] = operation(route);
  }
  const used = new Set(routes.map(({ tag }) => tag));
  const document = createDocument({
    openapi: "3.1.0",
    info: {
      title: "Shipfox, self-hosted",
      version,
      description: INTRODUCTION,
      license: { name: "MIT", identifier: "MIT" },
    },
    tags: Object.entries(TAGS)
      .filter(([name]) => used.has(name))
      .map(([name, description]) => ({ name, description })),
    paths,
    components: {
      securitySchemes: Object.fromEntries(
        Object.entries(BEARER_DESCRIPTIONS).map(
          ([name, description]) => [name, { type: "http", scheme: "bearer", description }] as const,
        ),
      ),
    },
  });
  describeParameters(document);
  return document;
}

function operation(route: Route): ZodOpenApiOperationObject {
  return {
    operationId: operationName(route.method, route.path),
    tags: [route.tag],
    summary: route.summary,
    description: description(route),
    requestParams: {
      ...(route.params ? { path: route.params as z.ZodObject } : {}),
      ...(route.query ? { query: route.query as z.ZodObject } : {}),
      ...(takesKey(route) ? { header: keyHeader } : {}),
    },
    ...(route.body || route.raw ? { requestBody: requestBody(route) } : {}),
    // What a caller needs, and what the audit log says of the call.
    ...(route.needs ? { "x-needs": route.needs } : {}),
    ...(route.audit ? { "x-audit": route.audit } : {}),
    "x-rate-class": rateClassOf(route),
    ...(route.credential === "none" ? {} : { security: [{ [SECURITY[route.credential]]: [] }] }),
    responses: responses(route),
  };
}

function description(route: Route): string {
  const sentences = [
    route.needs ? needInWords(route.needs) : route.credential === "none" ? "Needs no credential." : "",
    route.audit ? `The audit log says \`${route.audit}\`.` : "",
  ];
  return sentences.filter((sentence) => sentence !== "").join(" ");
}

function requestBody(route: Route): ZodOpenApiOperationObject["requestBody"] {
  const limit = bytesInWords(route.bodyLimitBytes ?? DEFAULT_BODY_LIMIT_BYTES);
  if (route.raw) {
    const types = [route.raw].flat();
    return {
      description: `The bytes as they are, at most ${limit}.`,
      content: contentOf(types),
    };
  }
  const example = exampleOf(route)?.request;
  const content = { schema: route.body as z.ZodType, ...(example === undefined ? {} : { example }) };
  return {
    description: `${route.optionalBody ? "May be left out; at" : "At"} most ${limit} of JSON.`,
    required: !route.optionalBody,
    content: { "application/json": content },
  };
}

function contentOf(types: readonly string[]): Record<string, typeof RAW_CONTENT> {
  return Object.fromEntries(types.map((type) => [type, RAW_CONTENT]));
}

function bytesInWords(bytes: number): string {
  return bytes % MIB === 0 ? `${bytes / MIB} MiB` : `${bytes / 1024} KiB`;
}

/** What a schema says itself counts; a bare id says no more than its type. */
function describeParameters(document: ReturnType<typeof createDocument>): void {
  for (const operations of Object.values(document.paths ?? {})) {
    for (const { parameters } of Object.values(operations) as { parameters?: object[] }[]) {
      for (const parameter of (parameters ?? []) as { name: string; description?: string }[]) {
        const own = parameter.description === "UUID" ? undefined : parameter.description;
        const words = own ?? PARAMETERS[parameter.name];
        if (words !== undefined) parameter.description = words;
      }
    }
  }
}

function responses(route: Route): ZodOpenApiResponsesObject {
  const result: ZodOpenApiResponsesObject = {};
  const example = exampleOf(route);
  for (const [status, schema] of Object.entries(route.responses)) {
    result[status as "200"] =
      schema === null
        ? { description: "Done; no body" }
        : schema === "sse"
          ? { description: "Server-sent events", content: { "text/event-stream": { schema: { type: "string" } } } }
          : schema === "text"
            ? { description: "Text", content: contentOf(route.produces ?? ["text/plain"]) }
            : schema === "file"
              ? {
                  description: "The bytes",
                  content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } },
                }
              : {
                  description: "Done",
                  content: {
                    "application/json": {
                      schema,
                      ...(example?.status === Number(status) ? { example: example.reply } : {}),
                    },
                  },
                };
  }
  for (const [status, codes] of errorsByStatus(route)) {
    result[status as "400"] = {
      description: codes.map((code) => `\`${code}\`: ${ERROR_CODES[code][1]}`).join("\n\n"),
      content: { "application/json": { schema: errorSchema }, [PROBLEM_TYPE]: { schema: problemSchema } },
    };
  }
  return result;
}

function errorsByStatus(route: Route): [string, ErrorCode[]][] {
  return [...Map.groupBy(errorCodesOf(route), (code) => String(ERROR_CODES[code][0]))];
}

/** The codes that a route answers: its own, and those that come with what it takes. */
export function errorCodesOf(route: Route): Set<ErrorCode> {
  return new Set<ErrorCode>([
    ...(route.errors ?? []),
    ...(route.body || route.query || route.params ? (["validation-error"] as const) : []),
    ...(route.body ? (["invalid-json-body", "empty-json-body"] as const) : []),
    ...(route.body || typeof route.raw === "string" ? (["invalid-media-type"] as const) : []),
    ...(typeof route.raw === "object" ? (["unsupported-media-type"] as const) : []),
    ...(route.method === "GET" ? [] : (["body-too-large"] as const)),
    ...(route.credential === "none" ? [] : (["unauthorized"] as const)),
    // Of `identity` everybody has enough who is signed in.
    ...(route.needs && route.needs !== "identity" ? (["forbidden"] as const) : []),
    ...(route.needs && isAbility(route.needs) ? (["workspace-inactive", "workspace-suspended"] as const) : []),
    ...(rateClassOf(route) === "none" ? [] : (["rate-limited"] as const)),
    ...(takesKey(route) ? (["idempotency-key-reused", "idempotency-replay-unavailable"] as const) : []),
    "server-error",
  ]);
}
