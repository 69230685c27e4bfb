import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { DEFAULT_IMAGE } from "./docker-options.ts";
import { Engine } from "./engine.ts";
import { ImageGarbage } from "./image-garbage.ts";
import { Testbed } from "./testbed.fixture.ts";

const DAY_MS = 24 * 3_600_000;
const testbed = new Testbed("garbage");
const { docker } = testbed;

async function importImage(name: string): Promise<{ reference: string; id: string }> {
  const repo = `shipfox-test/${name}-${process.pid}`;
  const container = await docker.createContainer({ Image: DEFAULT_IMAGE, Cmd: ["true"] });
  await container.commit({ repo, tag: "1", comment: name });
  await container.remove();
  onTestFinished(
    async () =>
      void (await docker
        .getImage(`${repo}:1`)
        .remove({ force: true })
        .catch(() => {})),
  );
  return { reference: `${repo}:1`, id: (await docker.getImage(`${repo}:1`).inspect()).Id };
}

const exists = async (reference: string) =>
  await docker
    .getImage(reference)
    .inspect()
    .then(
      () => true,
      () => false,
    );

describe("[docker] garbage of images", { timeout: 60_000 }, () => {
  it("removes old images that this runner pulled, never a used, renamed, foreign or its own one", async () => {
    const [old, recent, used, renamed, foreign] = await Promise.all(
      ["old", "recent", "used", "renamed", "foreign"].map(importImage),
    );
    if (!old || !recent || !used || !renamed || !foreign) throw new Error("unreachable");
    const holder = await docker.createContainer({ Image: used.reference, Cmd: ["true"] });
    onTestFinished(async () => await holder.remove({ force: true }));
    const now = Date.now();
    const record = (image: { reference: string; id: string }, days: number) => ({
      ...image,
      sizeBytes: 1,
      usedAt: now - days * DAY_MS,
    });
    const own = { reference: DEFAULT_IMAGE, id: (await docker.getImage(DEFAULT_IMAGE).inspect()).Id };
    const recordFile = join(testbed.folder, "pulled.json");
    const records = [record(old, 20), record(recent, 2), record(used, 20), record(own, 20)];
    await writeFile(recordFile, JSON.stringify([...records, { ...record(renamed, 20), id: foreign.id }]));
    const garbage = new ImageGarbage({
      engine: new Engine(null),
      recordFile,
      rules: { maxAgeMs: 14 * DAY_MS, maxBytes: null },
      defaultImage: DEFAULT_IMAGE,
      logger: pino({ level: "silent" }),
    });

    await garbage.run(now);

    const left = [recent, used, renamed, foreign, own];
    expect(await Promise.all([old, ...left].map(({ reference }) => exists(reference)))).toEqual([
      false,
      ...left.map(() => true),
    ]);
  });
});
