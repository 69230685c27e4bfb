import { describe, expect, it } from "vitest";
import { parsePathFile } from "./path-file.ts";

describe("SHIPFOX_PATH", () => {
  it("holds folders, of which the last is searched first", () => {
    expect(parsePathFile("/opt/a/bin\r\n\n/opt/b c/bin\n")).toEqual({
      kind: "folders",
      folders: ["/opt/b c/bin", "/opt/a/bin"],
    });
    expect(parsePathFile("")).toEqual({ kind: "folders", folders: [] });
  });

  it.each(["bin", "~/bin", "$HOME/bin", "/a:bin", "/a:", ".", " /a"])("refuses %j, which is not absolute", (line) => {
    expect(parsePathFile(`/ok\n${line}\n`)).toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("line 2"),
    });
  });
});
