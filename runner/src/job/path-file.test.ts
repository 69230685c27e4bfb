import { describe, expect, it } from "vitest";
import { Masker } from "../logs/masking.ts";
import { parsePathFile } from "./path-file.ts";

const masker = new Masker();

describe("SHIPFOX_PATH", () => {
  it("holds folders, of which the last is searched first", () => {
    expect(parsePathFile("/opt/a/bin\r\n\n/opt/b c/bin\n", masker)).toEqual({
      kind: "folders",
      folders: ["/opt/b c/bin", "/opt/a/bin"],
    });
    expect(parsePathFile("", masker)).toEqual({ kind: "folders", folders: [] });
  });

  it.each(["bin", "~/bin", "$HOME/bin", "/a:bin", "/a:", ".", " /a"])("refuses %j, which is not absolute", (line) => {
    expect(parsePathFile(`/ok\n${line}\n`, masker)).toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("line 2"),
    });
  });
});
