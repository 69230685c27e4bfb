import { describe, expect, it } from "vitest";
import { gitFailure } from "./git-failure.ts";

const ENDED = { timedOut: false, overOutput: false, signal: undefined };

describe("gitFailure", () => {
  it.each([
    ["fatal: repository 'https://git.example.com/a.git/' not found", "repository-not-found"],
    ["fatal: Authentication failed for 'https://git.example.com/a.git/'", "access-denied"],
    [
      "fatal: unable to access 'https://git.example.com/': The requested URL returned error: 302",
      "repository-not-found",
    ],
    ["fatal: unable to access 'https://git.example.com/': Operation too slow", "timeout"],
    ["remote: file too large\nfatal: early EOF", "content-too-large"],
    ["fatal: protocol error", "provider-unavailable"],
  ])("tells %j as %s", (stderr, code) => {
    expect(gitFailure({ ...ENDED, stderr })).toMatchObject({ code });
  });

  // A search that starts anew at each word would outlast the test's time by far, and stop the whole server meanwhile.
  it("is not held up by megabytes in one line of a hostile host", () => {
    const stderr = `remote: ${"repository ".repeat(400_000)}\nfatal: the remote end hung up`;
    expect(gitFailure({ ...ENDED, stderr }).code).toBe("provider-unavailable");
  });
});
