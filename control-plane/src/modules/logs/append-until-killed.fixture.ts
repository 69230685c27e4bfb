import { FileLogStore } from "./file-log-store.ts";
import type { LogPlace } from "./log-store.ts";

/** Appends numbered lines and prints the acknowledged length after each append, until somebody kills the process. */
const [root, placeJson] = process.argv.slice(2) as [string, string];
const place = JSON.parse(placeJson) as LogPlace;
const files = new FileLogStore(root);

let length = 0;
for (let number = 0; ; number += 1) {
  const chunk = Buffer.from(`${number} ${"x".repeat((number % 7) * 9_000)}\n`.repeat(3));
  if (length === 0) await files.create(place, chunk);
  else await files.append(place, length, chunk);
  length += chunk.length;
  process.stdout.write(`${length}\n`);
}
