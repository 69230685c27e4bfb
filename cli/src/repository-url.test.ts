import { describe, expect, it } from "vitest";
import { parseRepository } from "./repository-url.ts";

describe("repository addresses", () => {
  it.each([
    [
      "https://github.com/owner/repo.git",
      "https://github.com/owner/repo.git",
      "github.com",
      "https://github.com",
      "repo",
    ],
    ["http://localhost:3000/x/", "http://localhost:3000/x", "localhost:3000", "http://localhost:3000", "x"],
    [
      "git@host.example:team/shop.git",
      "ssh://git@host.example/team/shop.git",
      "host.example",
      "ssh://host.example",
      "shop",
    ],
    ["ssh://me@host/r", "ssh://me@host/r", "host", "ssh://host", "r"],
    ["file:///srv/git/r.git", "file:///srv/git/r.git", "local files", null, "r"],
  ])("understands %s", (text, cloneUrl, host, origin, name) => {
    expect(parseRepository(text, "/")).toEqual({ cloneUrl, host, origin, name });
  });

  it("takes an existing folder as a file URL", () => {
    expect(parseRepository(".", "/tmp").cloneUrl).toBe("file:///tmp");
  });

  it.each(["no such folder", "ftp://x/y", "--upload-pack=x"])("refuses %s", (text) => {
    expect(() => parseRepository(text, "/tmp")).toThrow("neither a git URL nor a folder");
  });

  it("refuses a password in the URL", () => {
    expect(() => parseRepository("https://a:secret@host/r", "/")).toThrow("password");
  });
});
