import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import { itemIds, testMigrations } from "./test-schema.ts";
import { describeStores, type StorePlace } from "./testing.ts";

const WRITER = fileURLToPath(new URL("./acknowledging-writer.ts", import.meta.url));

/** Enough that the process is killed while several batches are under way. */
const ACKNOWLEDGED_BEFORE_KILL = 300;

describeStores(
  "one process per database",
  (open, { newPlace }) => {
    const children: ChildProcess[] = [];

    afterEach(() => {
      for (const child of children.splice(0)) child.kill("SIGKILL");
    });

    /** Another process that opens the store at `place`, writes items without end and prints each id it was answered. */
    function startWriter(place: StorePlace) {
      const child = spawn(process.execPath, [WRITER, JSON.stringify(place)], { stdio: ["ignore", "pipe", "inherit"] });
      children.push(child);
      return { child, lines: createInterface({ input: child.stdout }) };
    }

    it("refuses a second process in words, and serves again when the first was killed", async () => {
      const place = await newPlace();
      const { child, lines } = startWriter(place);
      await once(lines, "line");
      await expect(open({ place })).rejects.toThrow(/in use by another control plane.*Stop that one first/);
      child.kill("SIGKILL");
      await once(child, "close");
      expect((await itemIds(await open({ place }))).length).toBeGreaterThan(0);
    });

    it("refuses to open twice in one process, until the first is closed", async () => {
      const place = await newPlace();
      const first = await open({ place });
      await expect(open({ place })).rejects.toThrow("in use by another control plane");
      await first.close();
      await open({ place });
    });

    it("loses nothing that was acknowledged before kill -9", async () => {
      const place = await newPlace();
      const { child, lines } = startWriter(place);
      const acknowledged: string[] = [];
      lines.on("line", (line) => {
        acknowledged.push(line);
        if (acknowledged.length === ACKNOWLEDGED_BEFORE_KILL) child.kill("SIGKILL");
      });
      await Promise.all([once(child, "close"), once(lines, "close")]);
      const stored = new Set(await itemIds(await open({ place })));
      expect(acknowledged.length).toBeGreaterThanOrEqual(ACKNOWLEDGED_BEFORE_KILL);
      expect(acknowledged.filter((id) => !stored.has(id))).toEqual([]);
    });
  },
  testMigrations,
);
