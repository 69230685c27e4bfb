import type { Caller } from "../../http/caller.ts";
import { jsonReply, KeptBodies, type KeptBody } from "../../http/kept-bodies.ts";
import { Readers } from "../../http/readers.ts";
import type { Reply } from "../../http/route.ts";
import type { Store, Tx } from "../../store/store.ts";
import { type EventSince, holdsSince, type Mark } from "./events-since.ts";
import type { RemovedRuns } from "./removed-runs.ts";

const MAX_BYTES = 32 * 1024 * 1024;

interface Facts extends Mark {
  readonly isAbout: (event: EventSince) => boolean;
  readonly readers: Readers;
}

/** Somebody who looks, and the version of the store, and how often runs were removed, before he did. */
export interface Look {
  readonly caller: Caller;
  readonly version: number | null;
  readonly removals: number;
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
 * why a job waits; so they hold until the event log tells of such an event, or a run is removed. Runners give their names to what they ran, so
 * their events count, too.
 *
 * Of each it is also known who was found to be allowed to see it: until the next commit he gets it without a look into the
 * database.
 */
export class ShownRuns {
  readonly #bodies = new KeptBodies<Facts>(MAX_BYTES);

  readonly #store: Pick<Store, "version">;
  readonly #removed: RemovedRuns;

  constructor(store: Pick<Store, "version">, removed: RemovedRuns) {
    this.#store = store;
    this.#removed = removed;
    removed.subscribe((runs) => {
      const gone = runs.map(({ id, project_id }) => ({ type: "", run_id: id, project_id }));
      this.#bodies.deleteWhere((facts) => gone.some((run) => facts.isAbout(run)));
    });
  }

  look(caller: Caller): Look {
    return { caller, version: this.#store.version, removals: this.#removed.count };
  }

  get(key: string): KeptBody<Facts> | undefined {
    return this.#bodies.get(key);
  }

  /** The reply, when nothing was committed since the caller was last found to be allowed to see it, and it to hold. */
  replyNow({ bytes, facts }: KeptBody<Facts>, caller: Caller): Reply | null {
    return facts.readers.has(caller) ? jsonReply(bytes) : null;
  }

  /** The reply, when what is kept still holds in this snapshot. The caller has checked who asks. */
  async replyIn(tx: Tx, { bytes, facts }: KeptBody<Facts>, { caller, version }: Look): Promise<Reply | null> {
    const holds = await holdsSince(tx, facts, (event) => event.type.startsWith("runner.") || facts.isAbout(event));
    if (!holds) return null;
    facts.readers.add(caller, version);
    return jsonReply(bytes);
  }

  keep(key: string, { body, workspaceId, seen, waits, isAbout }: Shown, { caller, version, removals }: Look): Reply {
    const bytes = Buffer.from(JSON.stringify(body));
    if (waits || removals !== this.#removed.count) return jsonReply(bytes);
    const readers = new Readers(this.#store);
    readers.add(caller, version);
    this.#bodies.set(key, bytes, { workspaceId, isAbout, seen, readers });
    return jsonReply(bytes);
  }
}
