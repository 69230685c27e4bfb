import { randomFillSync } from "node:crypto";

const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const MAX_COUNTER = 0x3fff;
const POOL_IDS = 256;
const RANDOM_BYTES_PER_ID = 8;

const pool = new Uint8Array(POOL_IDS * RANDOM_BYTES_PER_ID);
let poolOffset = pool.length;
let lastMilliseconds = 0;
let counter = 0;

/**
 * A UUIDv7 (RFC 9562): 48 bits of milliseconds, then a counter that makes ids of one process strictly increasing,
 * then 62 bits of randomness. Sorting by id is sorting by creation within a process.
 */
export function newId(milliseconds: number = Date.now()): string {
  if (milliseconds > lastMilliseconds) {
    lastMilliseconds = milliseconds;
    counter = 0;
  } else if (counter < 0xfff) {
    counter += 1;
  } else {
    lastMilliseconds += 1;
    counter = 0;
  }
  if (poolOffset === pool.length) {
    randomFillSync(pool);
    poolOffset = 0;
  }
  const time = lastMilliseconds.toString(16).padStart(12, "0");
  const sequence = counter.toString(16).padStart(3, "0");
  let random = "";
  for (let index = 0; index < RANDOM_BYTES_PER_ID; index += 1) {
    random += ((pool[poolOffset + index] as number) | 0x100).toString(16).slice(1);
  }
  poolOffset += RANDOM_BYTES_PER_ID;
  const variant = ((Number.parseInt(random.slice(0, 4), 16) & MAX_COUNTER) | 0x8000).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${sequence}-${variant}-${random.slice(4)}`;
}

/** True for a UUID in canonical lower-case text form, of any version. */
export function isId(text: string): boolean {
  return UUID_PATTERN.test(text);
}
