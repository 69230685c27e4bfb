import { expect, it } from "vitest";
import { exitCodeOf, signalOf } from "./exit-code.ts";
import { chooseJobUser, parseJobUser } from "./job-user.ts";

it("reads a user, and refuses names", () => {
  expect(parseJobUser("10001:10002")).toEqual({ uid: 10001, gid: 10002 });
  expect(parseJobUser("1000")).toEqual({ uid: 1000, gid: 1000 });
  for (const wrong of ["", "job", "1:2:3", "-1:1", "99999999999:1"])
    expect(() => parseJobUser(wrong)).toThrow("uid:gid");
});

it("gives a root runner's steps another user, and any other runner's its own", () => {
  expect(chooseJobUser(null, { uid: 0, gid: 0 })).toEqual({ uid: 10001, gid: 10001 });
  expect(chooseJobUser({ uid: 5, gid: 6 }, { uid: 0, gid: 0 })).toEqual({ uid: 5, gid: 6 });
  expect(chooseJobUser({ uid: 5, gid: 6 }, { uid: 1000, gid: 1000 })).toEqual({ uid: 1000, gid: 1000 });
});

it("translates between exit codes and signals", () => {
  expect([signalOf(0), signalOf(127), signalOf(137), signalOf(143), signalOf(255)]).toEqual([
    null,
    null,
    "SIGKILL",
    "SIGTERM",
    null,
  ]);
  expect([exitCodeOf(3, null), exitCodeOf(null, "SIGTERM")]).toEqual([3, 143]);
});
