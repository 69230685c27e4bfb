import { nextCursor } from "@shipfox/shared/api/values";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type Operation, partsOf } from "./operation.ts";
import { OPERATIONS } from "./operations.ts";

const operations = Object.entries(OPERATIONS).flatMap(([group, methods]) =>
  Object.entries(methods).map(([name, operation]): [string, Operation] => [`${group}.${name}`, operation]),
);

function fieldsOf(schema: z.ZodType | undefined): string[] {
  if (schema instanceof z.ZodObject) return Object.keys(schema.shape);
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => fieldsOf(option as z.ZodType));
  return [];
}

describe("the table of operations", () => {
  it.each(operations)("takes each name of %s for one thing only: path, query or body", (_name, operation) => {
    const inPath = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
    const inQuery = fieldsOf(operation.query);
    const inBody = [...new Set(fieldsOf(operation.body))];
    const names = [...inPath, ...inQuery, ...inBody];
    expect(names).toEqual([...new Set(names)]);
  });

  it("pages through exactly the lists that have a next page", () => {
    for (const [name, { reply, items, query }] of operations) {
      const shape = reply instanceof z.ZodObject ? reply.shape : {};
      // A log's page ends with a byte position instead.
      const isPaged = shape.next_cursor === nextCursor;
      expect([name, isPaged]).toEqual([name, items !== undefined]);
      if (items === undefined) continue;
      expect(shape[items]).toBeInstanceOf(z.ZodArray);
      expect(fieldsOf(query)).toContain("cursor");
    }
  });
});

describe("the parts of a call", () => {
  it("puts each field where it belongs, escaped, and sends a query of several values one by one", () => {
    expect(partsOf(OPERATIONS.secrets.set, { workspaceId: "w/1", key: "A B", value: "x", project_id: null })).toEqual({
      path: "/workspaces/w%2F1/secrets/A%20B",
      query: [],
      body: { value: "x", project_id: null },
    });
    expect(
      partsOf(OPERATIONS.triggerEvents.list, { workspace_id: "w", source: ["a", "b"], limit: 5, cursor: undefined }),
    ).toMatchObject({
      path: "/trigger-events",
      query: expect.arrayContaining([
        ["workspace_id", "w"],
        ["source", "a"],
        ["source", "b"],
        ["limit", "5"],
      ]),
      body: undefined,
    });
  });

  it("sends a body that may be left out only when it says something", () => {
    expect(partsOf(OPERATIONS.runs.cancel, { id: "r" }).body).toBeUndefined();
    expect(partsOf(OPERATIONS.runs.cancel, { id: "r", force: true }).body).toEqual({ force: true });
    expect(partsOf(OPERATIONS.definitions.fire, { definitionId: "d" }).body).toEqual({});
  });

  it("refuses a call without one of its path parameters, which would be another call", () => {
    expect(() => partsOf(OPERATIONS.projects.get, {})).toThrow("GET /projects/{projectId} needs projectId");
    expect(() => partsOf(OPERATIONS.projects.get, { projectId: "" })).toThrow(TypeError);
  });
});
