import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LogCommands, type LogRemark, parseRemark } from "./commands.ts";

const plain = { title: null, file: null, line: null, column: null };

describe("a remark in the log", () => {
  it.each<[string, LogRemark]>([
    ["::error::broken", { ...plain, style: "error", message: "broken" }],
    ["::warning ::careful", { ...plain, style: "warning", message: "careful" }],
    [
      "::error file=src/a.ts,line=3,col=5,endColumn=9,title=Types::x: 1 % of 2",
      { style: "error", title: "Types", file: "src/a.ts", line: 3, column: 5, message: "x: 1 % of 2" },
    ],
    [
      "::notice title=a%2Cb%3A c%0Ad::one%0Atwo%250A",
      { ...plain, style: "info", title: "a,b: c d", message: "one\ntwo%0A" },
    ],
    ["::error line=x,col=-1,file=::m", { ...plain, style: "error", message: "m" }],
    ["::error::a::b", { ...plain, style: "error", message: "a::b" }],
  ])("%s is understood", (line, remark) => {
    expect(parseRemark(line)).toEqual(remark);
  });

  it.each([
    "error::x",
    " ::error::x",
    "::error",
    "::error:x",
    "::errors::x",
    "::Error::x",
    "::debug::x",
    "::set-output name=a::b",
    "::add-mask::x",
  ])("%s is none", (line) => {
    expect(parseRemark(line)).toBeNull();
  });

  it("is cut when it is long", () => {
    const remark = parseRemark(`::error title=${"t".repeat(1_000)}::${"m".repeat(10_000)}`);
    expect(remark?.title).toHaveLength(200);
    expect(remark?.message).toHaveLength(4_000);
  });

  it("never throws, whatever is printed", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (properties, message) => {
        expect(() => parseRemark(`::error ${properties}::${message}`)).not.toThrow();
      }),
    );
  });
});

describe("commands in a log", () => {
  function read(...lines: string[]) {
    const remarks: LogRemark[] = [];
    const commands = new LogCommands((remark) => remarks.push(remark));
    return { groupsAllowed: lines.map((line) => commands.read(line)), messages: remarks.map(({ message }) => message) };
  }

  it("are off after stop-commands until its token comes back", () => {
    const { groupsAllowed, messages } = read(
      "::group::a",
      "::stop-commands::token-1",
      "::group::b",
      "::error::not now",
      "::token-2::",
      "::token-1::",
      "::error::now",
      "::group::c",
    );
    expect(groupsAllowed).toEqual([true, false, false, false, false, false, false, true]);
    expect(messages).toEqual(["now"]);
  });

  it("are not turned off by a token that anybody could guess", () => {
    expect(
      read("::stop-commands::", "::stop-commands::x", "::stop-commands::a b c d e f", "::error::on").messages,
    ).toEqual(["on"]);
  });

  it("hold back a partial line only while it could become one", () => {
    const commands = new LogCommands(() => {});
    for (const partial of [":", "::gr", "::group::x", "::err", "::error file=a"])
      expect(commands.mayBecomeCommand(partial)).toBe(true);
    for (const partial of ["Continue? ", "::x", "error"]) expect(commands.mayBecomeCommand(partial)).toBe(false);
    commands.read("::stop-commands::token-1");
    expect(commands.mayBecomeCommand("::error")).toBe(false);
    expect(commands.mayBecomeCommand("::token")).toBe(true);
  });
});
