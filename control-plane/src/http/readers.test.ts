import { expect, it } from "vitest";
import type { UserPrincipal } from "./caller.ts";
import { Readers } from "./readers.ts";

const principal = (userId: string, rest: Partial<UserPrincipal> = {}): UserPrincipal => ({
  userId,
  refreshSessionId: null,
  token: null,
  ...rest,
});
const [ada, bob] = [principal("ada"), principal("bob")];
const token = { id: "token", workspaceId: "w", abilities: [] };

it("knows those who were found to be allowed, each credential for itself, until the next commit", () => {
  const store = { version: 7 };
  const readers = new Readers(store);
  expect(readers.has(ada)).toBe(false);
  readers.add(ada, store.version);
  expect([readers.has(ada), readers.has(bob)]).toEqual([true, false]);
  expect(
    [principal("ada", { token }), principal("ada", { onlyWorkspaceId: "w" })].map((one) => readers.has(one)),
  ).toEqual([false, false]);
  store.version = 8;
  expect(readers.has(ada)).toBe(false);
  readers.add(bob, store.version);
  expect([readers.has(ada), readers.has(bob)]).toEqual([false, true]);
});

it("does not know those whose look began before a commit that it may not have seen", () => {
  const store = { version: 7 };
  const readers = new Readers(store);
  const before = store.version;
  store.version = 8;
  readers.add(ada, before);
  expect(readers.has(ada)).toBe(false);
});

it("knows nobody where others write to the database, too", () => {
  const readers = new Readers({ version: null });
  readers.add(ada, null);
  expect(readers.has(ada)).toBe(false);
});

it("keeps no more than a hundred", () => {
  const readers = new Readers({ version: 1 });
  for (let count = 0; count < 1_000; count += 1) readers.add(principal(`user ${count}`), 1);
  const known = Array.from({ length: 1_000 }, (_, count) => readers.has(principal(`user ${count}`)));
  expect(known.filter(Boolean).length).toBeLessThanOrEqual(100);
});
