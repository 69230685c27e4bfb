import { describe, expect, it } from "vitest";
import {
  checkContextName,
  chooseContext,
  contextForLogin,
  type CredentialsFile,
  credentialsFileSchema,
  nameOfHost,
} from "./contexts.ts";

const A = "https://a.example";
const B = "https://b.example";

function account(url: string, email: string) {
  return { url, email, access_token: `access of ${email}`, refresh_token: "r" };
}

const file: CredentialsFile = {
  version: 2,
  current: "home",
  contexts: { home: account(A, "ada"), work: account(B, "bob"), boss: account(B, "eve") },
};

const chosen = (env: Record<string, string>, from: CredentialsFile = file) => chooseContext(from, env)?.name ?? null;

describe("the context that commands work in", () => {
  it.each([
    [{}, "home"],
    [{ SHIPFOX_CONTEXT: "boss" }, "boss"],
    [{ SHIPFOX_CONTEXT: "boss", SHIPFOX_URL: A }, "boss"],
    [{ SHIPFOX_URL: `${A}/` }, "home"],
    [{ SHIPFOX_URL: "https://c.example" }, null],
  ])("with %j is %j", (env, name) => expect(chosen(env)).toBe(name));

  it("is the current one of several that SHIPFOX_URL could mean, and otherwise must be named", () => {
    expect(chosen({ SHIPFOX_URL: B }, { ...file, current: "boss" })).toBe("boss");
    expect(() => chosen({ SHIPFOX_URL: B })).toThrow("There are 2 contexts for https://b.example: work, boss.");
  });

  it("is none when nothing is current, and an error when there is none of that name", () => {
    expect(chosen({}, { ...file, current: null })).toBeNull();
    expect(() => chosen({ SHIPFOX_CONTEXT: "constructor" })).toThrow("there are: home, work, boss.");
  });
});

describe("the context of a sign-in", () => {
  it.each([
    ["the one that is named", { SHIPFOX_CONTEXT: "new" }, A, "new"],
    ["the current one at its own address", {}, A, "home"],
    ["the first one that is there for the address", {}, B, "work"],
    ["a new one of the address", {}, "http://localhost:16101", "localhost:16101"],
  ])("is %s", (_what, env, url, name) => expect(contextForLogin(file, url, env)).toBe(name));

  it("is never one of another address by chance", () => {
    const taken = { ...file, contexts: { "a.example": account(B, "bob") } };
    expect(contextForLogin(taken, A, {})).toBe("a.example-2");
  });
});

describe("a context's name", () => {
  it.each(["", "-x", "a b", "a/b", "x".repeat(65), "__proto__"])("is not %j", (name) =>
    expect(() => checkContextName(name)).toThrow("is no name of a context"),
  );

  it.each([
    ["http://localhost:16101", "localhost:16101"],
    ["https://shipfox.example.com/base", "shipfox.example.com"],
    ["http://[::1]:16101", "1:16101"],
  ])("is made from %s as %s", (url, name) => expect(checkContextName(nameOfHost(url))).toBe(name));
});

describe("a credentials file of before there were contexts", () => {
  it("becomes one context for each instance, and the last login the current one", () => {
    const { url: _, ...ada } = account(A, "ada");
    const instances = { [A]: ada, [`${A}/other`]: ada };
    expect(credentialsFileSchema.parse({ version: 1, current_url: A, instances })).toEqual({
      version: 2,
      current: "a.example",
      contexts: { "a.example": { url: A, ...ada }, "a.example-2": { url: `${A}/other`, ...ada } },
    });
  });
});
