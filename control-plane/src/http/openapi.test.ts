import { Validator } from "@seriousme/openapi-schema-validator";
import { afterEach, beforeEach, expect, it } from "vitest";
import { TAGS } from "./openapi-words.ts";
import { serveApp } from "./served-app.fixture.ts";

interface Described {
  readonly description?: string;
}
interface Operation extends Described {
  readonly operationId: string;
  readonly summary?: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly (Described & { readonly name: string })[];
  readonly requestBody?: Described;
  readonly "x-needs"?: string;
}

let app: Awaited<ReturnType<typeof serveApp>>;
let document: { paths: Record<string, Record<string, Operation>>; tags: (Described & { name: string })[] };

beforeEach(async () => {
  app = await serveApp();
  document = (await (await fetch(`${app.url}/openapi.json`)).json()) as typeof document;
});

afterEach(() => app.close());

function operations(): [string, Operation][] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  );
}

it("describes the whole server in a valid OpenAPI 3.1 document", async () => {
  const validator = new Validator();
  const result = await validator.validate(structuredClone(document));

  expect(result.errors ?? []).toEqual([]);
  expect(result.valid).toBe(true);
  expect(validator.version).toBe("3.1");
});

it("says in words what every route, parameter and body is, and who may call", () => {
  const silent = operations().flatMap(([route, operation]) => [
    ...(operation.summary ? [] : [route]),
    ...(operation["x-needs"] && !operation.description ? [`${route}: who may`] : []),
    ...(operation.requestBody && !operation.requestBody.description ? [`${route}: body`] : []),
    ...(operation.parameters ?? []).filter((one) => !one.description).map(({ name }) => `${route}: ${name}`),
  ]);
  expect(silent).toEqual([]);
});

it("gives every route a name of its own and a group that is described", () => {
  const names = operations().map(([, { operationId }]) => operationId);
  expect(new Set(names).size).toBe(names.length);
  const groups = new Set(operations().flatMap(([, { tags }]) => tags));
  expect([...groups].filter((name) => !TAGS[name])).toEqual([]);
  expect(new Set(document.tags.map(({ name }) => name))).toEqual(groups);
});
