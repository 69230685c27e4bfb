import { EventEmitter, once } from "node:events";
import { createLogger } from "@shipfox/shared/logger";
import { describe, expect, it, onTestFinished } from "vitest";
import { decideShortage } from "./disk-floor.ts";
import { DiskWatch, type DiskWatchOptions } from "./disk-watch.ts";

const logger = createLogger("test", "silent");
const NO_FLOOR = { bytes: 0, inodes: 0 };
/** More than any disk has: it is always short. */
const HIGH_FLOOR = { bytes: Number.MAX_SAFE_INTEGER, inodes: 0 };

describe("the floor", () => {
  const space = { path: "/work", freeBytes: 1000, freeInodes: 10, countsInodes: true };

  it("names what is missing and the setting that asks for it", () => {
    expect(decideShortage([space], { bytes: 1000, inodes: 10 })).toBeNull();
    expect(decideShortage([space], { bytes: 1001, inodes: 0 })).toMatch(/\/work has 1000 bytes .*DISK_FLOOR_BYTES/);
    expect(decideShortage([space], { bytes: 0, inodes: 11 })).toMatch(/room for 10 more files.*DISK_FLOOR_INODES/);
  });

  it("does not count the files of a file system that does not", () => {
    expect(decideShortage([{ ...space, freeInodes: 0, countsInodes: false }], { bytes: 0, inodes: 11 })).toBeNull();
  });
});

describe("the watch over running jobs", () => {
  const told = new EventEmitter();

  function watch(options: Partial<DiskWatchOptions>, sizes: Record<string, number>) {
    const watching = new DiskWatch({
      floor: NO_FLOOR,
      limitBytes: null,
      paths: () => ["/"],
      intervalMs: 5,
      logger,
      ...options,
    });
    const stops = new Map(
      Object.entries(sizes).map(([name, bytes]) => [
        name,
        watching.watch({
          measure: async () => await Promise.resolve(bytes),
          onLimit: (message) => void told.emit("told", name, "limit", message),
          onShortage: (message) => void told.emit("told", name, "shortage", message),
        }),
      ]),
    );
    onTestFinished(() => stops.forEach((stop) => stop()));
    return { watching, stops };
  }

  it("ends the job that wrote too much, and no other", async () => {
    const next = once(told, "told");
    watch({ limitBytes: 100 }, { small: 100, large: 101 });
    expect(await next).toEqual(["large", "limit", "The job wrote 101 bytes; a job on this runner may write 100."]);
  });

  it("ends the largest job when room is short, and the next only when that one is gone", async () => {
    const first = once(told, "told");
    const { watching, stops } = watch({ floor: HIGH_FLOOR }, { small: 1, large: 3, middle: 2 });
    expect((await first).slice(0, 2)).toEqual(["large", "shortage"]);
    expect(await watching.shortage()).toContain("SHIPFOX_RUNNER_DISK_FLOOR_BYTES");
    const second = once(told, "told");
    stops.get("large")?.();
    expect((await second).slice(0, 2)).toEqual(["middle", "shortage"]);
  });

  it("goes on when a job cannot be measured", async () => {
    const next = once(told, "told");
    const { watching } = watch({ limitBytes: 100 }, { large: 101 });
    onTestFinished(watching.watch({ measure: () => Promise.reject(new Error("gone")), onLimit() {}, onShortage() {} }));
    expect((await next)[0]).toBe("large");
  });
});
