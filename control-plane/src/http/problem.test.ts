import { expect, it } from "vitest";
import { asAccepted } from "./problem.ts";

const ERROR = { status: 409, body: { code: "slug-conflict", message: "taken", details: { slug: "x" } } };

it("an error is told as RFC 7807 to whoever accepts that, and to nobody else", () => {
  const problem = asAccepted(ERROR, "application/json, application/problem+json;q=0.8", "/projects");
  expect(problem).toEqual({
    status: 409,
    headers: { "content-type": "application/problem+json; charset=utf-8" },
    body: {
      type: "/docs/errors/slug-conflict",
      title: "Conflict",
      status: 409,
      detail: "taken",
      instance: "/projects",
      code: "slug-conflict",
      details: { slug: "x" },
    },
  });
  for (const accept of [undefined, "*/*", "application/json", "application/problem+json;q=0"])
    expect(asAccepted(ERROR, accept, "/projects")).toBe(ERROR);
});

it("what is no error, or an error in a provider's own form, stays as it is", () => {
  for (const reply of [
    { status: 200, body: { code: "x", message: "y" } },
    { status: 401, body: { error: "bad signature" } },
    { status: 404 },
  ])
    expect(asAccepted(reply, "application/problem+json", "/")).toBe(reply);
});
