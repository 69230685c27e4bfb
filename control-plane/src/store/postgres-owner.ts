import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { monotonic } from "./clock.ts";
import { StoreRefusal } from "./errors.ts";

/** The key of the session lock that the one control plane on a database holds; locks are counted per database. */
const LOCK_KEY = 7_446_369;

/** A predecessor that was killed holds the lock until the server has noticed. */
const LOCK_WAIT_MS = 2_000;
const LOCK_RETRY_MS = 100;

/** How often the connection that holds the lock is tried, give or take a fifth. */
const CHECK_EVERY_MS = 5_000;

/**
 * Takes the database for this process alone, through a lock that lives as long as `client`'s connection, or throws
 * `StoreRefusal`.
 */
export async function takeOwnership(client: pg.Client): Promise<void> {
  const giveUpAt = monotonic() + LOCK_WAIT_MS;
  for (;;) {
    const { rows } = await client.query<{ taken: boolean }>("select pg_try_advisory_lock($1) as taken", [LOCK_KEY]);
    if (rows[0]?.taken) return;
    if (monotonic() >= giveUpAt) break;
    await sleep(LOCK_RETRY_MS * (0.5 + Math.random()));
  }
  throw new StoreRefusal(
    `The database ${client.database} on ${client.host}:${client.port} is in use by another control plane. ` +
      "Stop that one first, or give this one a database of its own with SHIPFOX_DATABASE_URL.",
  );
}

/**
 * Calls `onLost` once when the connection that holds the ownership breaks, or no longer answers: another process may
 * own the database from then on. Returns what ends the watch.
 */
export function watchOwnership(client: pg.Client, onLost: (reason: string) => void): () => void {
  let ended = false;
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    ended = true;
    clearTimeout(timer);
  };
  const lost = (reason: string) => {
    if (ended) return;
    stop();
    onLost(`The connection that reserves the database for this control plane was lost: ${reason}`);
  };
  const check = () => {
    client.query("select 1").then(arm, (error: Error) => lost(error.message));
  };
  const arm = () => {
    if (!ended) timer = setTimeout(check, CHECK_EVERY_MS * (0.8 + 0.4 * Math.random())).unref();
  };
  client.on("error", (error) => lost(error.message));
  client.on("end", () => lost("the server closed it"));
  arm();
  return stop;
}
