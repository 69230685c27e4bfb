import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, readdir, readFile, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { zstdDecompressSync } from "node:zlib";
import { newId } from "@shipfox/shared/ids";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FileLogStore } from "./file-log-store.ts";
import type { LogPlace } from "./log-store.ts";
import { testFolder } from "./logs.fixture.ts";

const KILL_AFTER_APPENDS = 40;
const MORE_THAN_STAY_OPEN = 700;

function newPlace(): LogPlace {
  return { workspaceId: newId(), executionId: newId(), stepId: newId(), attempt: 1 };
}

function pathOf(root: string, { workspaceId, executionId, stepId, attempt }: LogPlace): string {
  return join(root, workspaceId, executionId, `${stepId}-${attempt}.ndjson`);
}

describe("log files", () => {
  it("keep the bytes as they came, in files that only the owner may read", async () => {
    const root = join(await testFolder(), "deep", "logs");
    const files = new FileLogStore(root);
    const place = newPlace();
    await files.create(place, Buffer.from("one\n"));
    await files.append(place, 4, Buffer.from("two\n"));
    expect((await files.read(place, 0, 100)).toString()).toBe("one\ntwo\n");
    expect((await files.read(place, 4, 2)).toString()).toBe("tw");
    expect(await files.read(place, 8, 10)).toHaveLength(0);
    expect((await stat(pathOf(root, place))).mode & 0o777).toBe(0o600);
    expect((await stat(join(root, place.workspaceId, place.executionId))).mode & 0o777).toBe(0o700);
    await files.close();
  });

  it("have no bytes and no length where there is no log", async () => {
    const files = new FileLogStore(await testFolder());
    const place = newPlace();
    expect(await files.repair(place)).toBe(0);
    expect(await files.read(place, 0, 10)).toHaveLength(0);
    expect(await files.usage(place)).toBe(0);
    await files.seal(place, 0);
    await files.remove(place);
  });

  it("are read at the same positions when they are archived, also by the zstd program's rules", async () => {
    const root = await testFolder();
    const files = new FileLogStore(root);
    const place = newPlace();
    const lines = Array.from(
      { length: 40_000 },
      (_, index) => `{"line":${index},"text":"${"é".repeat(index % 20)}"}\n`,
    );
    const raw = Buffer.from(lines.join(""));
    await files.create(place, raw);
    await files.seal(place, raw.length);
    await files.archive(place);
    await files.archive(place);
    expect(await readdir(join(root, place.workspaceId, place.executionId))).toEqual([`${place.stepId}-1.ndjson.zst`]);
    const archive = await readFile(`${pathOf(root, place)}.zst`);
    expect(archive.length).toBeLessThan(raw.length / 5);
    expect((await stat(`${pathOf(root, place)}.zst`)).mode & 0o777).toBe(0o600);
    expect(zstdDecompressSync(archive).equals(raw)).toBe(true);

    const position = fc.integer({ min: 0, max: raw.length + 10 });
    await fc.assert(
      fc.asyncProperty(position, fc.integer({ min: 0, max: 700_000 }), async (start, length) => {
        expect((await files.read(place, start, length)).equals(raw.subarray(start, start + length))).toBe(true);
      }),
      { numRuns: 40 },
    );
    expect(await files.repair(place)).toBe(raw.length);
    expect(await files.usage(place)).toBe(raw.length);
    await files.remove(place);
    expect(await readdir(root)).toEqual([]);
    await files.close();
  });

  it("are archived again after a crash in between, and an empty one as well", async () => {
    const root = await testFolder();
    const files = new FileLogStore(root);
    const [place, empty] = [newPlace(), newPlace()];
    await files.create(place, Buffer.from("one\n"));
    await files.create(empty, Buffer.alloc(0));
    await appendFile(`${pathOf(root, place)}.zst.new`, "half of something");
    for (const each of [place, empty]) await files.archive(each);
    expect((await files.read(place, 0, 10)).toString()).toBe("one\n");
    expect(await files.read(empty, 0, 10)).toHaveLength(0);
    expect(await files.usage(place)).toBe(4);
    await files.archive(newPlace());
    await files.close();
  });

  it("begin anew over bytes that were never acknowledged", async () => {
    const files = new FileLogStore(await testFolder());
    const place = newPlace();
    await files.create(place, Buffer.from("a long beginning\n"));
    await files.create(place, Buffer.from("new\n"));
    expect((await files.read(place, 0, 100)).toString()).toBe("new\n");
    await files.close();
  });

  it("count what all logs of an execution hold", async () => {
    const files = new FileLogStore(await testFolder());
    const place = newPlace();
    await files.create(place, Buffer.from("12345\n"));
    await files.create({ ...place, attempt: 2 }, Buffer.from("123\n"));
    await files.create(newPlace(), Buffer.from("of another\n"));
    expect(await files.usage(place)).toBe(10);
    await files.close();
  });

  it("stay writable when more logs are open than files may be", async () => {
    const files = new FileLogStore(await testFolder());
    const places = Array.from({ length: MORE_THAN_STAY_OPEN }, (_, index) => ({
      ...newPlace(),
      workspaceId: WORKSPACE,
      executionId: EXECUTION,
      attempt: index + 1,
    }));
    await Promise.all(places.map((place) => files.create(place, Buffer.from("a\n"))));
    await Promise.all(places.map((place) => files.append(place, 2, Buffer.from("b\n"))));
    const held = await readdir("/proc/self/fd");
    expect(held.length).toBeLessThan(MORE_THAN_STAY_OPEN);
    for (const place of places) expect((await files.read(place, 0, 10)).toString()).toBe("a\nb\n");
    await files.close();
  });

  it("refuse a place that is not made of ids", async () => {
    const files = new FileLogStore(await testFolder());
    await expect(files.create({ ...newPlace(), executionId: "../../etc" }, Buffer.from("a\n"))).rejects.toThrow("ids");
  });
});

const WORKSPACE = newId();
const EXECUTION = newId();

describe("after a crash", () => {
  it.each([
    ["ends within a record", "one\ntwo\nthr", "one\ntwo\n"],
    ["holds no whole record", "thr", ""],
    ["ends with zeros that never reached the disk", "one\n\0\0\0\0", "one\n"],
    ["has zeros within the last append", "one\ntw\0\0\nthree\n", "one\n"],
    ["is whole", "one\ntwo\n", "one\ntwo\n"],
  ])("a log that %s is cut to its whole records", async (_case, found, expected) => {
    const root = await testFolder();
    const place = newPlace();
    const before = new FileLogStore(root);
    await before.create(place, Buffer.from("\n"));
    await before.close();
    await truncate(pathOf(root, place), 0);
    await appendFile(pathOf(root, place), found);

    const files = new FileLogStore(root);
    expect(await files.repair(place)).toBe(expected.length);
    expect(await readFile(pathOf(root, place), "utf8")).toBe(expected);
    await files.append(place, expected.length, Buffer.from("next\n"));
    expect(await readFile(pathOf(root, place), "utf8")).toBe(`${expected}next\n`);
    await files.close();
  });

  it("a long log with a torn end keeps everything before it", async () => {
    const root = await testFolder();
    const place = newPlace();
    const files = new FileLogStore(root);
    const whole = Buffer.from(`${"x".repeat(1023)}\n`.repeat(20 * 1024));
    await files.create(place, whole);
    await appendFile(pathOf(root, place), "y".repeat(3 * 1024 * 1024));
    expect(await files.repair(place)).toBe(whole.length);
    await files.close();
  });

  it("every append that was acknowledged before kill -9 is there, and only whole records", async () => {
    const root = await testFolder();
    const place = newPlace();
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL("append-until-killed.fixture.ts", import.meta.url)), root, JSON.stringify(place)],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const exited = once(child, "exit");
    let acknowledged = 0;
    let appends = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Number(line);
      appends += 1;
      if (appends === KILL_AFTER_APPENDS) child.kill("SIGKILL");
    }
    await exited;
    expect(appends).toBeGreaterThanOrEqual(KILL_AFTER_APPENDS);

    const files = new FileLogStore(root);
    const length = await files.repair(place);
    expect(length).toBeGreaterThanOrEqual(acknowledged);
    const lines = (await files.read(place, 0, length)).toString().split("\n").slice(0, -1);
    for (const [index, line] of lines.entries()) {
      const number = Math.floor(index / 3);
      expect(line).toBe(`${number} ${"x".repeat((number % 7) * 9_000)}`);
    }
    await files.close();
  });
});
