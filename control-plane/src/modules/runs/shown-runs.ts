import { jsonReply, KeptBodies, type KeptBody } from "../../http/kept-bodies.ts";
import type { Reply } from "../../http/route.ts";
import type { Tx } from "../../store/store.ts";
import { type EventSince, holdsSince, type Mark } from "./events-since.ts";

const MAX_BYTES = 32 * 1024 * 1024;

interface Facts extends Mark {
  readonly isAbout: (event: EventSince) => boolean;
}

/** A body, and what it was made of: the workspace, its last event then, and the events that change it. */
export interface Shown extends Readonly<Mark> {
  readonly body: object;
  /** Whether a job of it waits: why it does so changes without an event. */
  readonly waits: boolean;
  readonly isAbout: (event: EventSince) => boolean;
}

/**
 * Runs and lists of runs as they were shown, as bytes. All that is shown of them changes with an event, in one transaction, but
 * why a job waits; so they hold until the event log tells of such an event. Runners give their names to what they ran, so
 * their events count, too.
 */
export class ShownRuns {
  readonly #bodies = new KeptBodies<Facts>(MAX_BYTES);

  get(key: string): KeptBody<Facts> | undefined {
    return this.#bodies.get(key);
  }

  /** The reply, when what is kept still holds in this snapshot. The caller has checked who asks. */
  async replyIn(tx: Tx, { bytes, facts }: KeptBody<Facts>): Promise<Reply | null> {
    const holds = await holdsSince(tx, facts, (event) => event.type.startsWith("runner.") || facts.isAbout(event));
    return holds ? jsonReply(bytes) : null;
  }

  keep(key: string, { body, workspaceId, seen, waits, isAbout }: Shown): Reply {
    const bytes = Buffer.from(JSON.stringify(body));
    if (!waits) this.#bodies.set(key, bytes, { workspaceId, isAbout, seen });
    return jsonReply(bytes);
  }
}
