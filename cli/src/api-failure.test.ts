import { ClientError } from "@shipfox/client/client-error";
import { describe, expect, it } from "vitest";
import { ApiFailure } from "./api-failure.ts";
import { EXIT } from "./exit-codes.ts";

const exitCodeOf = (code: string, status?: number) => new ApiFailure(new ClientError("m", { code, status })).exitCode;

describe("a failed call", () => {
  it("ends like a wrong command line when the control plane does not know what was named, or not how it is written", () => {
    expect(exitCodeOf("not-found", 404)).toBe(EXIT.usage);
    expect(exitCodeOf("validation-error", 400)).toBe(EXIT.usage);
    expect(exitCodeOf("repository-not-found", 422)).toBe(EXIT.usage);
  });

  it("ends as a fault of the control plane, or of what is in front of it, otherwise", () => {
    expect(exitCodeOf("http-404", 404)).toBe(EXIT.api);
    expect(exitCodeOf("run-already-finished", 409)).toBe(EXIT.api);
    expect(exitCodeOf("server-error", 500)).toBe(EXIT.api);
    expect(exitCodeOf("connection-failed")).toBe(EXIT.api);
  });

  it("says to compare versions when the reply has another shape", () => {
    const message = "The reply to GET / is not what this client expects at name: expected string.";
    const failure = new ApiFailure(new ClientError(message, { code: "unexpected-reply" }));
    expect(failure.message).toBe("The reply to GET / is not what this command expects at name: expected string.");
    expect(failure.next).toEqual([expect.stringContaining("shipfox --version")]);
  });
});
