import fc from "fast-check";
import { expect, it } from "vitest";
import { checkoutPath, repositoryName } from "./checkout-path.ts";

it.each([
  [".", []],
  ["./", []],
  ["lib", ["lib"]],
  ["./deep//down/lib/", ["deep", "down", "lib"]],
  ["git", ["git"]],
  ["a b", ["a b"]],
])("takes %j", (path, parts) => {
  expect(checkoutPath(path)).toEqual(parts);
});

it.each([
  "/etc",
  "..",
  "a/../b",
  "../lib",
  ".git",
  "lib/.GIT",
  "a\\b",
  "C:/lib",
  "a\nb",
  "a\0b",
  "x".repeat(300),
  "a/".repeat(3_000),
])("refuses %j", (path) => {
  expect(() => checkoutPath(path)).toThrow(expect.objectContaining({ reason: "checkout_path_invalid" }));
});

it("answers plain names below the workspace for whatever it takes", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("..", ".", "", "/", "a", ".git", "\\", "lib"), { maxLength: 6 }), (pieces) => {
      try {
        for (const part of checkoutPath(pieces.join("/"))) expect(part).toMatch(/^(?!\.{0,2}$)[^/\\]+$/);
      } catch (error) {
        expect(error).toMatchObject({ reason: "checkout_path_invalid" });
      }
    }),
  );
});

it.each([
  ["https://git.example/acme/lib.git", "lib"],
  ["https://git.example/acme/lib/", "lib"],
  ["git@git.example:lib.git", "lib"],
  ["git@git.example:acme/lib", "lib"],
  ["file:///srv/lib/.git", "lib"],
  ["https://git.example/..", "repository"],
  ["https://git.example/.git", "git.example"],
  ["https://git.example/a%2Fb", "a%2Fb"],
])("calls the folder of %s %s", (url, name) => {
  expect(repositoryName(url)).toBe(name);
});
