import { jsonReply, KeptBodies } from "../../http/kept-bodies.ts";
import type { Reply } from "../../http/route.ts";
import type { Attempt } from "./find-attempt.ts";
import type { Logs } from "./logs.ts";
import { streamKey } from "./model.ts";
import { readPage } from "./read-page.ts";

const MAX_BYTES = 32 * 1024 * 1024;

/** Pages of logs as replies. Those of a log that is closed never change and are kept as bytes. */
export class LogPages {
  readonly #logs: Logs;
  readonly #bodies = new KeptBodies<null>(MAX_BYTES);

  constructor(logs: Logs) {
    this.#logs = logs;
  }

  /** Throws 404 `not-found` for an attempt that was never started, 400 `invalid-cursor`. */
  async reply(attempt: Attempt, cursor: number, now: number): Promise<Reply> {
    const { found } = attempt;
    const state = typeof found === "string" ? null : await this.#logs.streams.state(found);
    if (!state?.closed) return { status: 200, body: await readPage(this.#logs, attempt, cursor, now) };
    const key = `${streamKey(attempt.stepId, attempt.attempt)} ${cursor}`;
    const kept = this.#bodies.get(key);
    if (kept) return jsonReply(kept.bytes);
    const bytes = Buffer.from(JSON.stringify(await readPage(this.#logs, attempt, cursor, now)));
    this.#bodies.set(key, bytes, null);
    return jsonReply(bytes);
  }
}
