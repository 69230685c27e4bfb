import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judgeVersion, versionWindow } from "./version-window.ts";

const minor = fc.integer({ min: 0, max: 50 });
const patch = fc.integer({ min: 0, max: 50 });

describe("the version window", () => {
  it.each([
    ["0.1.0", { oldest: "0.0", newest: "0.3" }],
    ["0.7.3", { oldest: "0.5", newest: "0.9" }],
    ["2.4.0-rc.1", { oldest: "2.2", newest: "2.6" }],
  ])("of %s", (server, window) => expect(versionWindow(server)).toEqual(window));

  it.each([
    ["0.7.0", "0.7.0", "accepted", null],
    ["0.7.0", null, "accepted", null],
    ["0.7.0", "0.7.1", "accepted", /0\.7\.1/],
    ["0.7.0", "0.6.4", "accepted", /upgrade the runner: versions before 0\.5 are refused/],
    ["0.7.0", "0.5.0", "accepted", /upgrade the runner/],
    ["0.7.0", "0.9.9", "accepted", /upgrade the control plane/],
    ["0.7.0", "v0.8.0-rc.1+build", "accepted", /upgrade the control plane/],
    ["0.7.0", "nightly", "accepted", /not understood/],
    ["0.7.0", "0.4.9", "refused", /works with 0\.5 to 0\.9: upgrade the runner/],
    ["0.7.0", "0.10.0", "refused", /upgrade the control plane, or install an older runner/],
    ["0.7.0", "1.7.0", "refused", /upgrade the control plane/],
    ["1.0.0", "0.9.0", "refused", /upgrade the runner/],
  ])("of %s judges %s: %s", (server, runner, kind, words) => {
    const verdict = judgeVersion(server, runner);
    expect(verdict.kind).toBe(kind);
    const said = verdict.kind === "refused" ? verdict.message : verdict.warning;
    if (words === null) expect(said).toBeNull();
    else expect(said).toMatch(words);
  });

  it("is two minor versions wide on both sides, whatever the patch", () => {
    fc.assert(
      fc.property(minor, patch, minor, patch, (server, serverPatch, runner, runnerPatch) => {
        const verdict = judgeVersion(`0.${server}.${serverPatch}`, `0.${runner}.${runnerPatch}`);
        expect(verdict.kind).toBe(Math.abs(server - runner) <= 2 ? "accepted" : "refused");
      }),
    );
  });

  it("is the same seen from both sides", () => {
    fc.assert(
      fc.property(minor, minor, (one, other) => {
        expect(judgeVersion(`1.${one}.0`, `1.${other}.0`).kind).toBe(judgeVersion(`1.${other}.0`, `1.${one}.0`).kind);
      }),
    );
  });

  it("never throws, whatever a client sends", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(judgeVersion("0.1.0", text).kind).toBeTypeOf("string");
      }),
    );
  });
});
