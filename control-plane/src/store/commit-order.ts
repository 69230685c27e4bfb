import type { RunEvent } from "./store.ts";

/** A unit that has taken numbers and whose outcome is not known yet. */
interface Place {
  workspaces: string[];
  /** Set once the unit is settled and all before it in its workspaces may not be yet. */
  settled: (() => void) | undefined;
}

/**
 * Puts what happens after commits into the order of the commits.
 *
 * Units on different connections commit in the order in which they took their numbers, for they held the workspace's
 * row until then. The answers of the server may still arrive the other way round. A unit takes its place here when it
 * has its numbers and is let through once nobody before it, in any of its workspaces, is undecided.
 */
export class CommitOrder {
  readonly #lines = new Map<string, Place[]>();

  /** Called right after the numbers were taken, before anything else is awaited. */
  enter(events: readonly RunEvent[]): Place {
    const workspaces = [...new Set(events.map((event) => event.workspaceId))];
    const place: Place = { workspaces, settled: undefined };
    for (const workspace of workspaces) {
      const line = this.#lines.get(workspace);
      if (line) line.push(place);
      else this.#lines.set(workspace, [place]);
    }
    return place;
  }

  /** Called once per place, also after a roll-back, then with nothing to do. `then` runs at once or after its turn came. */
  leave(place: Place, then: () => void): void {
    place.settled = then;
    this.#letThrough(place);
  }

  #letThrough(place: Place): void {
    if (!place.settled || place.workspaces.some((workspace) => this.#lines.get(workspace)?.[0] !== place)) return;
    place.settled();
    const next = place.workspaces.flatMap((workspace) => this.#advance(workspace));
    for (const follower of new Set(next)) this.#letThrough(follower);
  }

  #advance(workspace: string): Place[] {
    const line = this.#lines.get(workspace);
    line?.shift();
    const first = line?.[0];
    if (first) return [first];
    this.#lines.delete(workspace);
    return [];
  }
}
