import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { StallSafeLines } from "./standard-error.ts";

const LIMIT = 256 * 1024;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "shipfox-lines-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
});

/** A pipe that is read only when asked. */
function openPipe() {
  const path = join(folder, "pipe");
  execFileSync("sh", ["-c", 'mkfifo "$0"', path]);
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const writer = openSync(path, "w");
  const lines = new StallSafeLines(writer);
  onTestFinished(() => {
    lines.close();
    closeSync(writer);
    closeSync(reader);
  });
  const buffer = Buffer.alloc(65_536);
  const read = () => {
    try {
      return buffer.toString("utf8", 0, readSync(reader, buffer));
    } catch {
      return "";
    }
  };
  return { lines, read };
}

const numbered = (number: number) => `${number}:${"x".repeat(200)}\n`;

it("writes at once while somebody reads", () => {
  const { lines, read } = openPipe();
  lines.write("one\n", LIMIT);
  lines.write("two\n", LIMIT);
  expect(read()).toBe("one\ntwo\n");
});

it("never waits for a reader that stalls, leaves out what is too much, and tears no line when it reads again", async () => {
  const { lines, read } = openPipe();
  const taken: number[] = [];
  for (let number = 0; number < 4_000; number += 1) if (lines.write(numbered(number), LIMIT)) taken.push(number);
  expect(taken.length).toBeGreaterThan(1_000);
  expect(taken.length).toBeLessThan(4_000);
  const beganAt = performance.now();
  lines.flush(100);
  expect(performance.now() - beganAt).toBeLessThan(1_000);
  const expected = taken.map(numbered).join("");
  let text = "";
  await expect
    .poll(() => {
      text += read();
      return text.length;
    })
    .toBe(expected.length);
  expect(text).toBe(expected);
  expect(lines.write("last\n", LIMIT)).toBe(true);
  expect(read()).toBe("last\n");
});

it("writes files as they are", () => {
  const path = join(folder, "file");
  const file = openSync(path, "a");
  onTestFinished(() => closeSync(file));
  const lines = new StallSafeLines(file);
  lines.write("one\n", LIMIT);
  expect(readFileSync(path, "utf8")).toBe("one\n");
});
