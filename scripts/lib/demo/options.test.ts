import { expect, it } from "vitest";
import { readDemoOptions, UsageError } from "./options.ts";

it("has a default for everything", () => {
  expect(readDemoOptions([])).toEqual({ repository: null, workflow: null, image: null, port: null, help: false });
});

it("reads all options", () => {
  const argv = ["--repo", ".", "--workflow", "ci", "--image", "node:24", "--port", "8080"];
  expect(readDemoOptions(argv)).toEqual({ repository: ".", workflow: "ci", image: "node:24", port: 8080, help: false });
});

it.each([["--port", "0"], ["--port", "80x"], ["--port", "65536"], ["--rep", "."], ["stray"]])(
  "refuses %s %s in words",
  (...argv) => {
    expect(() => readDemoOptions(argv)).toThrow(UsageError);
  },
);
