import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { watchForNotice } from "./machine-notice.ts";

let root: string;
let stop: () => void;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "shipfox-notice-"));
});
afterEach(() => {
  stop();
  rmSync(root, { recursive: true, force: true });
});

function notices(path: string): { seen: () => number; first: Promise<void> } {
  const first = Promise.withResolvers<void>();
  let count = 0;
  stop = watchForNotice(path, () => {
    count += 1;
    first.resolve();
  });
  return { seen: () => count, first: first.promise };
}

describe("a machine notice", () => {
  it("is given once, when the file appears, and not for other files", async () => {
    const path = join(root, "going");
    const notice = notices(path);
    writeFileSync(join(root, "other"), "");
    writeFileSync(path, "");
    await notice.first;
    writeFileSync(path, "again");
    await new Promise((resolve) => setImmediate(resolve));
    expect(notice.seen()).toBe(1);
  });

  it("is given when the file is already there", async () => {
    const path = join(root, "going");
    writeFileSync(path, "");
    const notice = notices(path);
    await notice.first;
    expect(notice.seen()).toBe(1);
  });

  it("is given when even the folder comes later", async () => {
    const folder = join(root, "later");
    const notice = notices(join(folder, "going"));
    mkdirSync(folder);
    writeFileSync(join(folder, "going"), "");
    await notice.first;
    expect(notice.seen()).toBe(1);
  });
});
