import { expect, it } from "vitest";
import { findRoute, indexRoutes } from "./match.ts";
import { route } from "./route.ts";

const at = (path: string, method: "GET" | "POST" = "GET") =>
  route({
    method,
    path,
    tag: "t",
    summary: path,
    credential: "none",
    responses: { 204: null },
    handle: async () => ({ status: 204 }),
  });

const index = indexRoutes([at("/runs/{id}"), at("/runs/aggregates"), at("/runs/{id}/cancel", "POST")]);

it("finds a route by method and path, fixed words before parameters", () => {
  expect(findRoute(index, "GET", "/runs/aggregates")?.route.path).toBe("/runs/aggregates");
  expect(findRoute(index, "GET", "/runs/a%20b")).toMatchObject({
    route: { path: "/runs/{id}" },
    params: { id: "a b" },
  });
  expect(findRoute(index, "POST", "/runs/x/cancel")?.params).toEqual({ id: "x" });
});

it("leaves everything else to Express", () => {
  expect(findRoute(index, "GET", "/runs/x/")).toBeNull();
  expect(findRoute(index, "DELETE", "/runs/x")).toBeNull();
  expect(findRoute(index, "GET", "/")).toBeNull();
});

it("keeps a segment that is not decodable as it is", () => {
  expect(findRoute(index, "GET", "/runs/%ff")?.params).toEqual({ id: "%ff" });
});
