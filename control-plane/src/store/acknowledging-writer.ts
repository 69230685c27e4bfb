import { pino } from "pino";
import { openStore } from "./open.ts";
import { addItem, testMigrations } from "./test-schema.ts";
import type { StorePlace } from "./testing.ts";

// A process for the tests that kill one: writes items side by side without end and prints the id of each once it is
// acknowledged.

const WRITERS = 16;

const place = JSON.parse(process.argv[2] ?? "") as StorePlace;
const store = await openStore({
  ...place,
  migrations: testMigrations,
  onRunEvents: () => undefined,
  onLost: () => process.exit(1),
  log: pino({ level: "silent" }),
});

async function writeItems(writer: number): Promise<never> {
  for (let number = 0; ; number += 1) {
    const id = `${writer}-${number}`;
    await addItem(store, id, number);
    await new Promise((resolve) => process.stdout.write(`${id}\n`, resolve));
  }
}

await Promise.all(Array.from({ length: WRITERS }, (_, writer) => writeItems(writer)));
