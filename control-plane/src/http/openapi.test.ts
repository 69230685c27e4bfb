import { Validator } from "@seriousme/openapi-schema-validator";
import { afterEach, beforeEach, expect, it } from "vitest";
import { serveApp } from "./served-app.fixture.ts";

let app: Awaited<ReturnType<typeof serveApp>>;

beforeEach(async () => {
  app = await serveApp();
});

afterEach(() => app.close());

it("describes the whole server in a valid OpenAPI 3.1 document", async () => {
  const response = await fetch(`${app.url}/openapi.json`);
  const document = (await response.json()) as { paths: Record<string, Record<string, { summary?: string }>> };
  const validator = new Validator();
  const result = await validator.validate(structuredClone(document));

  expect(result.errors ?? []).toEqual([]);
  expect(result.valid).toBe(true);
  expect(validator.version).toBe("3.1");
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, { summary }] of Object.entries(operations))
      expect([method, path, summary]).not.toContain(undefined);
  }
});
