import { describe, expect, it } from "vitest";
import { compareClocks, compareVersions } from "./checks.ts";

const URL = "https://shipfox.example.com";

describe("the versions of command and control plane", () => {
  it.each([
    ["1.4.2", "1.4.2", "ok"],
    ["1.4.2", "1.4.9", "ok"],
    ["1.4.2", "1.5.0", "warning"],
    ["2.4.2", "1.4.2", "warning"],
  ])("%s and %s are %s", (own, server, status) => expect(compareVersions(URL, server, own).status).toBe(status));

  it("are made the same by the control plane's own installer", () => {
    expect(compareVersions(URL, "1.5.0", "1.4.0").next).toContain(`${URL}/install.sh`);
  });
});

describe("the clocks of command and control plane", () => {
  const date = "Mon, 06 Jul 2026 10:00:00 GMT";
  const at = Date.parse(date);

  it.each([
    [0, "ok", "agrees"],
    [20_000, "ok", "agrees"],
    [-20_000, "ok", "agrees"],
    [90_500, "failed", "1m 30s ahead of"],
    [-89_500, "failed", "1m 30s behind"],
  ])("%i ms apart are %s", (apart, status, words) =>
    expect(compareClocks(date, at + apart)).toMatchObject({ status, message: expect.stringContaining(words) }),
  );

  it("cannot be compared without a date", () => {
    expect([compareClocks(null, at), compareClocks("soon", at)]).toEqual([null, null]);
  });
});
