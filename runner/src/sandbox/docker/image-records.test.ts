import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type ImageRecord, ImageRecords, decideGarbage } from "./image-records.ts";

const HOUR_MS = 3_600_000;
const NOW = 1_000 * HOUR_MS;

const image = (reference: string, hoursUnused: number, sizeBytes = 10): ImageRecord => ({
  reference,
  id: `sha256:${reference}`,
  sizeBytes,
  usedAt: NOW - hoursUnused * HOUR_MS,
});

const names = (records: readonly ImageRecord[]) => records.map(({ reference }) => reference);

it("removes what was unused for too long, the oldest first, and keeps the rest", () => {
  const images = [image("a", 5), image("b", 50), image("c", 100)];
  expect(names(decideGarbage(images, { maxAgeMs: 24 * HOUR_MS, maxBytes: null }, NOW))).toEqual(["c", "b"]);
  expect(decideGarbage(images, { maxAgeMs: null, maxBytes: null }, NOW)).toEqual([]);
});

it("removes no more than it must to come below the watermark, and nothing that was just used", () => {
  const images = [image("a", 5), image("b", 50), image("c", 100), image("now", 0, 100)];
  expect(names(decideGarbage(images, { maxAgeMs: null, maxBytes: 115 }, NOW))).toEqual(["c", "b"]);
  expect(names(decideGarbage(images, { maxAgeMs: null, maxBytes: 1 }, NOW))).toEqual(["c", "b", "a"]);
});

it("remembers across restarts, and takes a damaged file for an empty one", async () => {
  const folder = await mkdtemp(join(tmpdir(), "shipfox-images-"));
  onTestFinished(async () => await rm(folder, { recursive: true }));
  const file = join(folder, "pulled.json");
  const records = new ImageRecords(file);
  await Promise.all(["a", "b"].map((name) => records.change((all) => all.set(name, image(name, 1)))));
  expect(names(await new ImageRecords(file).all())).toEqual(["a", "b"]);
  await writeFile(file, (await readFile(file, "utf8")).slice(0, -3));
  expect(await new ImageRecords(file).all()).toEqual([]);
});
