import { describe, expect, it } from "vitest";
import { cutToWidth, displayWidth } from "./width.ts";

describe("the columns that a text takes", () => {
  it.each([
    ["plain", 5],
    ["über", 4],
    ["e\u0301", 1],
    ["数据", 4],
    ["🚀 go", 5],
    ["✓ …", 3],
    ["\u200b", 0],
  ])("of %j are %i", (text, columns) => expect(displayWidth(text)).toBe(columns));
});

describe("a text cut to columns", () => {
  it.each([
    ["whole", 5, "whole"],
    ["too long", 5, "too …"],
    ["数据库", 4, "数…"],
    ["数据", 4, "数据"],
    ["\u001b[31mred and more\u001b[39m", 4, "\u001b[31mred…\u001b[0m"],
    ["\u001b[31mred\u001b[39m", 3, "\u001b[31mred\u001b[39m"],
    ["abc", 1, "…"],
    ["abc", 0, ""],
  ])("%j in %i", (text, columns, cut) => expect(cutToWidth(text, columns)).toBe(cut));
});
