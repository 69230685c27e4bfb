import { availableParallelism } from "node:os";
import { parseOptions } from "@node-rs/argon2";
import { describe, expect, it } from "vitest";
import { NOBODYS_HASH, Passwords } from "./passwords.ts";

describe("Passwords", () => {
  const passwords = new Passwords();

  it("verifies what it hashed and nothing else, with another salt each time", async () => {
    const hash = await passwords.hash("correct horse battery");
    expect(await passwords.verify(hash, "correct horse battery")).toBe(true);
    expect(await passwords.verify(hash, "correct horse batterz")).toBe(false);
    expect(await passwords.hash("correct horse battery")).not.toBe(hash);
  });

  it("works as hard for an account that does not exist as for one that does", async () => {
    const { saltLen, ...real } = parseOptions(await passwords.hash("any password"));
    const { saltLen: nobodysSalt, ...nobodys } = parseOptions(NOBODYS_HASH);
    expect({ ...nobodys, saltLen: nobodysSalt }).toEqual({ ...real, saltLen });
    expect(real).toMatchObject({ memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 });
    expect(NOBODYS_HASH).toMatch(/^\$argon2id\$/);
    expect(await passwords.verify(null, "any password")).toBe(false);
  });

  it("refuses a wave that it could not work through", async () => {
    const crowded = new Passwords();
    const atOnce = 2 * Math.min(4, availableParallelism());
    const waiting = Array.from({ length: atOnce + 128 + 3 }, () => crowded.verify("$argon2id$broken", "x"));
    const codes = (await Promise.allSettled(waiting)).map((result) =>
      result.status === "rejected" ? result.reason.code : "",
    );
    expect(codes.filter((code) => code === "overloaded")).toHaveLength(3);
  });
});
