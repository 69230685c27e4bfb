import { describe, expect, it } from "vitest";
import { isRegistryHost, parseImageReference } from "./image-reference.ts";

const DIGEST = `sha256:${"0".repeat(64)}`;

describe("parseImageReference", () => {
  it.each([
    ["node", "docker.io", "library/node", "docker.io/library/node:latest"],
    ["node:24", "docker.io", "library/node", "docker.io/library/node:24"],
    ["team/app", "docker.io", "team/app", "docker.io/team/app:latest"],
    ["index.docker.io/node", "docker.io", "library/node", "docker.io/library/node:latest"],
    ["localhost/a:1", "localhost", "a", "localhost/a:1"],
    ["localhost:5000/a", "localhost:5000", "a", "localhost:5000/a:latest"],
    ["Registry.example/team/app:1", "registry.example", "team/app", "registry.example/team/app:1"],
    [`a@${DIGEST}`, "docker.io", "library/a", `docker.io/library/a@${DIGEST}`],
    [`r.io:1/a/b:2@${DIGEST}`, "r.io:1", "a/b", `r.io:1/a/b:2@${DIGEST}`],
    // Looks like the start of an image id, and must never be taken for one.
    ["94fe56aa6048", "docker.io", "library/94fe56aa6048", "docker.io/library/94fe56aa6048:latest"],
  ])("reads %s", (text, registry, repository, full) => {
    expect(parseImageReference(text)).toMatchObject({ registry, repository, full });
  });

  it("reads its own full form again", () => {
    for (const text of ["node", "team/app:1", `r.io:1/a@${DIGEST}`]) {
      const once = parseImageReference(text);
      expect(parseImageReference(once.full)).toEqual(once);
    }
  });
});

describe("isRegistryHost", () => {
  it.each(["docker.io", "localhost:5000", "Registry.example", "10.0.0.1:443"])("takes %s", (host) => {
    expect(isRegistryHost(host)).toBe(true);
  });
  it.each(["", "https://a.io", "a.io/team", "a b", "-a", "a:port", "user@a.io"])("refuses %s", (host) => {
    expect(isRegistryHost(host)).toBe(false);
  });
});
