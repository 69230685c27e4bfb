import { expect, it } from "vitest";
import { hasExpression, unescapeLiteral } from "./template.ts";

it.each([
  ["${{ a }}", true, "${{ a }}"],
  ["a ${{", true, "a ${{"],
  ["$${{ a }}", false, "${{ a }}"],
  ["$${{ a }} ${{ b }}", true, "${{ a }} ${{ b }}"],
  ["$$${{ a }}", false, "$${{ a }}"],
  ["$ {{ a }} ${a} $${a}", false, "$ {{ a }} ${a} $${a}"],
  ["", false, ""],
])("tells whether %j opens an expression, and what it means as literal text", (text, opens, meant) => {
  expect(hasExpression(text)).toBe(opens);
  expect(unescapeLiteral(text)).toBe(meant);
});
