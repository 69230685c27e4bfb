import { jsonReply, KeptBodies, type KeptBody } from "../../http/kept-bodies.ts";
import type { Reply } from "../../http/route.ts";
import type { Tx } from "../../store/store.ts";
import { type EventSince, eventsSince } from "./events-since.ts";

const MAX_BYTES = 32 * 1024 * 1024;

interface Facts {
  readonly workspaceId: string;
  readonly isAbout: (event: EventSince) => boolean;
  /** The last event of the workspace that is known not to have changed it. */
  seen: number;
}

/** A body, and what it was made of: the workspace, its last event then, and the events that change it. */
export interface Shown {
  readonly body: object;
  readonly workspaceId: string;
  readonly newest: number;
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
    const events = await eventsSince(tx, facts.workspaceId, facts.seen);
    if (!events || events.some((event) => event.type.startsWith("runner.") || facts.isAbout(event))) return null;
    facts.seen += events.length;
    return jsonReply(bytes);
  }

  keep(key: string, { body, workspaceId, newest, waits, isAbout }: Shown): Reply {
    const bytes = Buffer.from(JSON.stringify(body));
    if (!waits) this.#bodies.set(key, bytes, { workspaceId, isAbout, seen: newest });
    return jsonReply(bytes);
  }
}
