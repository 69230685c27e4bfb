import type { Operation } from "@shipfox/client/operation";
import { OPERATIONS } from "@shipfox/client/operations";
import { VERSION } from "@shipfox/shared/version";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createOpenApi } from "./openapi.ts";
import type { Route } from "./route.ts";
import { serveApp } from "./served-app.fixture.ts";

type Json = Record<string, unknown>;
interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly schema: Json;
}
interface Described {
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Json & { readonly content: Json; readonly required: boolean };
  readonly responses: Record<string, Json>;
  readonly security?: readonly Json[];
}
interface Document {
  readonly paths: Record<string, Record<string, Described>>;
  readonly components: { readonly schemas: Json };
}

/** Answered to browsers, probes and senders of deliveries, which no client stands in for. */
const FOR_OTHERS = [
  "GET /auth/reset",
  "GET /invitations/accept",
  "GET /install.sh",
  "GET /releases/{file}",
  "GET /docs",
  "GET /docs/files/{file}",
  "GET /docs/errors/{code}",
  "GET /openapi.json",
  "GET /schemas/workflow.json",
  "GET /health",
  "GET /healthz",
  "GET /readyz",
  "POST /webhook/{connectionId}",
  "POST /webhooks/integrations/git/{connectionId}",
  "POST /webhooks/integrations/github",
  "POST /webhooks/integrations/sentry",
];
/** Other names of routes, with the one by which the client calls them. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  "POST /auth/password-reset": "POST /auth/password/reset",
  "POST /auth/password-reset/confirm": "POST /auth/password/reset/confirm",
  "GET /workflows/runs/steps/{stepId}/attempts/{attempt}": "GET /steps/{stepId}/attempts/{attempt}",
  "GET /agent/model-provider-catalog": "GET /agent/provider-catalog",
  "GET /workspaces/{workspaceId}/agent": "GET /workspaces/{workspaceId}/agent/providers",
  "GET /workspaces/{workspaceId}/agent/model-providers": "GET /workspaces/{workspaceId}/agent/providers",
  "PUT /workspaces/{workspaceId}/agent/model-providers/{providerId}":
    "PUT /workspaces/{workspaceId}/agent/providers/{providerId}",
  "DELETE /workspaces/{workspaceId}/agent/model-providers/{providerId}":
    "DELETE /workspaces/{workspaceId}/agent/providers/{providerId}",
  "PUT /workspaces/{workspaceId}/agent/model-providers/{providerId}/default-model":
    "PUT /workspaces/{workspaceId}/agent/providers/{providerId}/default-model",
  "PUT /workspaces/{workspaceId}/agent/default-model-provider": "PUT /workspaces/{workspaceId}/agent/default-provider",
};

const operations = Object.entries(OPERATIONS).flatMap(([group, methods]) =>
  Object.entries(methods).map(([name, operation]): [string, Operation] => [`${group}.${name}`, operation]),
);
const nameOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`;

describe("the client", () => {
  let app: Awaited<ReturnType<typeof serveApp>>;
  let served: Document;
  let routes: Map<string, Described>;

  beforeAll(async () => {
    app = await serveApp();
    served = namesAside(await (await fetch(`${app.url}/openapi.json`)).text());
    routes = routesOf(served);
  });
  afterAll(() => app.close());

  it("has a method for every route of users, and none for what does not exist", () => {
    const forUsers = [...routes].filter(([name, route]) => isForUsers(route) && !FOR_OTHERS.includes(name));
    const called = operations.map(([, operation]) => nameOf(operation));

    expect(new Set(called).size).toBe(called.length);
    expect([...called, ...Object.keys(OTHER_NAMES)].toSorted()).toEqual(forUsers.map(([name]) => name).toSorted());
  });

  it.each(Object.entries(OTHER_NAMES))("leaves out %s, which is the same as %s", (other, name) => {
    expect(facts(routes.get(other) as Described)).toEqual(facts(routes.get(name) as Described));
  });

  it.each(operations)("sends and expects with %s what the description says", (_name, operation) => {
    const route = routes.get(nameOf(operation)) as Described;
    const statuses = Object.keys(route.responses).filter((status) => status.startsWith("2"));
    const own = namesAside(JSON.stringify(createOpenApi([asRoute(operation, statuses)], VERSION)));
    const described = routesOf(own).get(nameOf(operation)) as Described;

    expect(beyondPath(described)).toEqual(beyondPath(route));
    expect(described.requestBody?.content).toEqual(route.requestBody?.content);
    expect(described.requestBody?.required).toBe(route.requestBody?.required);
    for (const status of statuses) expect(described.responses[status]).toEqual(route.responses[status]);
    for (const [name, schema] of Object.entries(own.components.schemas))
      expect(served.components.schemas[`${name}Output`] ?? served.components.schemas[name]).toEqual(schema);
    // The types of path parameters: a number when it is called so, else text.
    for (const { name, schema } of route.parameters?.filter((parameter) => parameter.in === "path") ?? [])
      expect([name, schema.type]).toEqual([name, name === "attempt" ? "integer" : "string"]);
  });
});

/**
 * References as any document has them: schemas without a name of their own are counted through a document (all of them are
 * JSON), and one that machines also send has another name where it is answered.
 */
function namesAside(text: string): Document {
  return JSON.parse(text.replace(/__schema\d+/g, "__json").replace(/(schemas\/\w+)Output"/g, '$1"')) as Document;
}

function routesOf({ paths }: Document): Map<string, Described> {
  const named = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, route]) => [`${method.toUpperCase()} ${path}`, route] as const),
  );
  return new Map(named);
}

function isForUsers({ security = [] }: Described): boolean {
  return security.length === 0 || security.some((credential) => "userToken" in credential);
}

function beyondPath({ parameters = [] }: Described): readonly Parameter[] {
  return parameters.filter((parameter) => parameter.in !== "path");
}

function facts(route: Described) {
  const { summary, parameters, requestBody, responses, security } = route;
  const schemas = Object.values(requestBody?.content ?? {}).map((content) => (content as Json).schema);
  return { summary, parameters, schemas, statuses: Object.keys(responses), security };
}

/** The operation as the route that it calls, as far as the description tells of it. */
function asRoute(operation: Operation, statuses: readonly string[]): Route {
  const { method, path, query, body, optionalBody, reply, keyed } = operation;
  const response = reply === "log" || reply === "run-events" ? "sse" : reply;
  return {
    method,
    path,
    tag: "",
    summary: "",
    credential: "user",
    needs: "identity",
    ...(keyed ? { audit: "thing.changed" } : {}),
    query,
    body,
    optionalBody,
    responses: Object.fromEntries(statuses.map((status) => [status, response])),
    handle: async () => ({ status: 204 }),
  };
}
