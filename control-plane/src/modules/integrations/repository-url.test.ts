import { ApiError } from "@shipfox/shared/errors";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { resolvePublic } from "./addresses.ts";
import { isUnder, parseRepositoryId, parseRepositoryUrl, repositoryId, type UrlSettings } from "./repository-url.ts";

const closed: UrlSettings = { allowFile: false, allowHttp: false, allowPrivate: false };
const open: UrlSettings = { allowFile: true, allowHttp: true, allowPrivate: true };

function faultOf(text: string, settings: UrlSettings): string {
  try {
    return `accepted as ${parseRepositoryUrl(text, settings).url}`;
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).code).toBe("invalid-repository-url");
    return (error as ApiError).message;
  }
}

describe("parseRepositoryUrl", () => {
  it.each([
    ["https://github.com/acme/app.git", "https", "https://github.com/acme/app.git"],
    ["https://GitHub.com:443/acme/app/", "https", "https://github.com/acme/app"],
    ["HTTPS://git.example.com:8443/app", "https", "https://git.example.com:8443/app"],
    ["https://git.example.com/a/./b", "https", "https://git.example.com/a/b"],
    ["https://93.184.216.34/app", "https", "https://93.184.216.34/app"],
    ["https://[2606:4700::1111]/app", "https", "https://[2606:4700::1111]/app"],
    ["ssh://git@GIT.example.com/acme/app.git", "ssh", "ssh://git@git.example.com/acme/app.git"],
    ["ssh://git@git.example.com:2222/~/app", "ssh", "ssh://git@git.example.com:2222/~/app"],
    ["git@github.com:acme/app.git", "ssh", "git@github.com:acme/app.git"],
    ["github.com:acme/app.git/", "ssh", "github.com:acme/app.git"],
  ])("takes %s without any setting", (text, protocol, url) => {
    expect(parseRepositoryUrl(text, closed)).toMatchObject({ protocol, url });
  });

  it.each([
    ["http://git.example.com/app", /SHIPFOX_GIT_ALLOW_HTTP=true/],
    ["file:///srv/git/app.git", /SHIPFOX_GIT_ALLOW_FILE=true/],
    ["https://localhost/app", /SHIPFOX_GIT_ALLOW_PRIVATE=true/],
    ["https://git.localhost./app", /SHIPFOX_GIT_ALLOW_PRIVATE=true/],
    ["https://127.0.0.1/app", /SHIPFOX_GIT_ALLOW_PRIVATE=true/],
    ["https://0x7f.1/app", /SHIPFOX_GIT_ALLOW_PRIVATE=true/],
    ["https://2130706433/app", /SHIPFOX_GIT_ALLOW_PRIVATE=true/],
    ["https://169.254.169.254/latest", /SHIPFOX_GIT_ALLOW_PRIVATE=true/],
    ["https://[::1]/app", /SHIPFOX_GIT_ALLOW_PRIVATE=true/],
    ["https://[::ffff:10.0.0.1]/app", /SHIPFOX_GIT_ALLOW_PRIVATE=true/],
    ["ssh://git@10.1.2.3/app", /SHIPFOX_GIT_ALLOW_PRIVATE=true/],
    ["git@192.168.1.5:app", /SHIPFOX_GIT_ALLOW_PRIVATE=true/],
  ])("names the variable that allows %s, and takes it with that", (text, message) => {
    expect(faultOf(text, closed)).toMatch(message);
    expect(faultOf(text, open)).toMatch(/^accepted/);
  });

  it.each([
    ["", /special characters/],
    ["-uhttps://example.com/app", /dash/],
    ["--upload-pack=touch /tmp/x", /special characters/],
    ["--upload-pack=touch", /dash/],
    ["ext::sh -c touch", /special characters/],
    ["ext::sh", /host name|neither/],
    ["https://user:secret@example.com/app", /password/],
    ["https://token@example.com/app", /user name/],
    ["ssh://git:secret@example.com/app", /password/],
    ["ssh://-oProxyCommand=x@example.com/app", /user name/],
    ["ssh://-oProxyCommand=x/app", /host name|no URL/],
    ["-oProxyCommand=x:app", /dash/],
    ["git@-oProxyCommand=x:app", /host name/],
    ["git@example.com:-app", /no repository/],
    ["https://example.com/app?x=1", /query/],
    ["https://example.com/app#x", /fragment/],
    ["https://example.com/a\nb", /control/],
    ["https://example.com/a%0ab", /control/],
    ["https://example.com/a%00b", /control/],
    ["https://example.com/%zz", /percent/],
    ["git@example.com:../../etc", /upwards/],
    ["file:///srv/%2e%2e%2fetc", /upwards/],
    ["file://host/srv/app", /three slashes/],
    ["file:///", /no repository/],
    ["ssh://example.com/", /no repository/],
    ["git://example.com/app", /git is not supported/],
    ["/srv/git/app.git", /neither/],
    ["./app", /neither/],
    [`https://example.com/${"a".repeat(2048)}`, /longer/],
  ])("refuses %s under every setting", (text, message) => {
    expect(faultOf(text, open)).toMatch(message);
  });

  it("never throws anything but its own error, and its canonical text is its own canonical text", () => {
    const pieces = fc.constantFrom(
      "https://",
      "ssh://",
      "file:///",
      "git@",
      "example.com",
      ":",
      "/",
      "..",
      "%2e",
      "[::1]",
      "-",
      "@",
      "a",
      "8443",
      "~",
    );
    const texts = fc.oneof(
      fc.string(),
      fc.webUrl(),
      fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(texts, (text) => {
        let first: ReturnType<typeof parseRepositoryUrl>;
        try {
          first = parseRepositoryUrl(text, open);
        } catch (error) {
          expect((error as ApiError).code).toBe("invalid-repository-url");
          return;
        }
        expect(parseRepositoryUrl(first.url, open)).toEqual(first);
        expect(first.url).toMatch(/^[^-\s][^\s\p{Cc}]*$/u);
        expect(first.host).not.toMatch(/^-/);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("parseRepositoryId", () => {
  it("is git: and the clone URL", () => {
    const repository = parseRepositoryId("git:https://github.com/acme/app", closed);
    expect(repositoryId(repository)).toBe("git:https://github.com/acme/app");
    expect(repositoryId(parseRepositoryId("git:git@github.com:acme/app", closed))).toBe("git:git@github.com:acme/app");
    expect(() => parseRepositoryId("github:42", closed)).toThrow(/git:<clone url>/);
  });
});

describe("isUnder", () => {
  const base = parseRepositoryUrl("https://git.example.com/acme", closed);
  it.each([
    ["https://git.example.com/acme/app", true],
    ["https://git.example.com/acme/team/app.git", true],
    ["https://git.example.com/acme-evil/app", false],
    ["https://git.example.com/other/app", false],
    ["https://git.example.com:8443/acme/app", false],
    ["https://evil.example.com/acme/app", false],
    ["http://git.example.com/acme/app", false],
  ])("tells whether the credential may go to %s: %s", (text, expected) => {
    expect(isUnder(parseRepositoryUrl(text, open), base)).toBe(expected);
  });
});

describe("resolvePublic", () => {
  it("refuses a name that leads to this machine", async () => {
    await expect(resolvePublic("localhost")).rejects.toMatchObject({ code: "invalid-repository-url" });
  });
  it("refuses a number that the resolver takes for an address of this machine", async () => {
    await expect(resolvePublic("2130706433")).rejects.toMatchObject({
      code: expect.stringMatching(/invalid-repository-url|provider-unavailable/),
    });
  });
  it("keeps a public address", async () => expect(await resolvePublic("8.8.8.8")).toBe("8.8.8.8"));
});

it("allows repositories in the data folder without asking the operator, and nothing beside it", () => {
  const settings = { ...closed, ownFolder: "/var/lib/shipfox/control-plane/repositories" };
  const isAllowed = (path: string) =>
    faultOf(`file:///var/lib/shipfox/control-plane/${path}`, settings).startsWith("accepted");
  const within = ["repositories/hello", "repositories/%68ello"];
  const beside = ["repositories", "repositories2/x", "git/x", "repositories/../git/x", "repositories/%2e%2e/git/x"];
  expect([...within, ...beside].filter(isAllowed)).toEqual(within);
});
