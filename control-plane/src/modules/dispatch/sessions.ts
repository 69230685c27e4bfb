import type { Capabilities } from "@shipfox/shared/machine";
import { labelsSatisfy } from "@shipfox/shared/labels";
import type { Tx, WriteTx } from "../../store/store.ts";
import { ONLINE_WINDOW_MS } from "./settings.ts";

/** An open runner session as dispatch sees it. */
export interface Session {
  readonly id: string;
  readonly runnerId: string;
  readonly runnerName: string;
  readonly workspaceId: string;
  labels: ReadonlySet<string>;
  readonly capabilities: ReadonlySet<string>;
  /** Ids of the label sets whose jobs it may take; kept up to date as sets come and go. */
  readonly satisfied: Set<string>;
  /** Wall time, milliseconds. */
  lastSeenAt: number;
  parkedClaims: number;
  liveLeases: number;
  /** What keeps the runner from running jobs, as it says; null while it is healthy. */
  fault: { readonly since: number; readonly reason: string } | null;
}

export interface LabelSet {
  readonly id: string;
  readonly workspaceId: string;
  readonly labels: readonly string[];
  readonly capabilities: readonly string[];
}

/** The names of capabilities that jobs can require. */
export function capabilityNames(capabilities: Capabilities): string[] {
  return (["image", "services", "network", "files"] as const).filter((name) => capabilities[name] === true);
}

const LOAD = `select s.id, s.runner_id as "runnerId", r.name as "runnerName", s.workspace_id as "workspaceId", s.labels, s.capabilities,
    s.unhealthy_since as "unhealthySince", s.unhealthy_reason as "unhealthyReason"
  from runner_sessions s join runners r on r.id = s.runner_id where s.id = ? and s.ended_at is null`;
const SEEN_SESSION = "update runner_sessions set last_seen_at = ? where id = ? and last_seen_at < ?";
const SEEN_RUNNER = "update runners set last_seen_at = ? where id = ? and (last_seen_at is null or last_seen_at < ?)";

/** The sessions that were heard from since this process started, in memory: presence is written in bulk, not per call. */
export class Sessions {
  readonly #byId = new Map<string, Session>();
  readonly #byWorkspace = new Map<string, Set<Session>>();
  readonly #seen = new Set<Session>();

  get(sessionId: string): Session | undefined {
    return this.#byId.get(sessionId);
  }

  /** The open session, read from the store when this process has not met it; undefined when it has ended. */
  async load(tx: Tx, sessionId: string, sets: Iterable<LabelSet>, now: number): Promise<Session | undefined> {
    const row = await tx.get<{
      id: string;
      runnerId: string;
      runnerName: string;
      workspaceId: string;
      labels: string;
      capabilities: string;
      unhealthySince: number | null;
      unhealthyReason: string | null;
    }>(LOAD, [sessionId]);
    if (!row) return undefined;
    const known = this.#byId.get(sessionId);
    if (known) return known;
    const session: Session = {
      id: row.id,
      runnerId: row.runnerId,
      runnerName: row.runnerName,
      workspaceId: row.workspaceId,
      labels: new Set(JSON.parse(row.labels) as string[]),
      capabilities: new Set(capabilityNames(JSON.parse(row.capabilities) as Capabilities)),
      satisfied: new Set(),
      lastSeenAt: now,
      parkedClaims: 0,
      liveLeases: 0,
      fault:
        row.unhealthySince === null || row.unhealthyReason === null
          ? null
          : { since: row.unhealthySince, reason: row.unhealthyReason },
    };
    for (const set of sets) if (satisfies(session, set)) session.satisfied.add(set.id);
    this.#byId.set(session.id, session);
    const siblings = this.#byWorkspace.get(session.workspaceId) ?? new Set();
    this.#byWorkspace.set(session.workspaceId, siblings.add(session));
    this.#seen.add(session);
    return session;
  }

  /** Gives the session other labels. Answers the ids of the sets it satisfied until now. */
  relabel(session: Session, labels: readonly string[], sets: Iterable<LabelSet>): string[] {
    const before = [...session.satisfied];
    session.labels = new Set(labels);
    session.satisfied.clear();
    for (const set of sets) if (satisfies(session, set)) session.satisfied.add(set.id);
    return before;
  }

  touch(session: Session, now: number): void {
    session.lastSeenAt = now;
    this.#seen.add(session);
  }

  forget(sessionId: string): void {
    const session = this.#byId.get(sessionId);
    if (!session) return;
    this.#byId.delete(sessionId);
    this.#byWorkspace.get(session.workspaceId)?.delete(session);
    this.#seen.delete(session);
  }

  /** Those that are online, by what they do; an unhealthy one counts as that alone, whatever it still runs. */
  count(now: number): Record<"idle" | "busy" | "unhealthy", number> {
    const counts = { idle: 0, busy: 0, unhealthy: 0 };
    for (const session of this.#byId.values()) {
      if (!isOnline(session, now)) continue;
      counts[session.fault !== null ? "unhealthy" : session.liveLeases > 0 ? "busy" : "idle"] += 1;
    }
    return counts;
  }

  online(workspaceId: string, now: number): Session[] {
    return [...(this.#byWorkspace.get(workspaceId) ?? [])].filter((session) => isOnline(session, now));
  }

  /** The sessions of a workspace that now also satisfy a new set. */
  addSet(set: LabelSet): Session[] {
    const matching = [...(this.#byWorkspace.get(set.workspaceId) ?? [])].filter((session) => satisfies(session, set));
    for (const session of matching) session.satisfied.add(set.id);
    return matching;
  }

  removeSet(set: LabelSet): void {
    for (const session of this.#byWorkspace.get(set.workspaceId) ?? []) session.satisfied.delete(set.id);
  }

  /** Writes who was seen since the last call; forgets sessions that have been silent for long. */
  async flush(tx: WriteTx, now: number, forgetAfterMs: number): Promise<void> {
    const seen = [...this.#seen];
    for (const session of seen) {
      await tx.run(SEEN_SESSION, [session.lastSeenAt, session.id, session.lastSeenAt]);
      await tx.run(SEEN_RUNNER, [session.lastSeenAt, session.runnerId, session.lastSeenAt]);
    }
    tx.afterCommit(() => {
      for (const session of seen) this.#seen.delete(session);
      for (const session of this.#byId.values()) {
        if (session.liveLeases === 0 && session.parkedClaims === 0 && now - session.lastSeenAt > forgetAfterMs)
          this.forget(session.id);
      }
    });
  }
}

/** A parked claim is a live connection, whatever the time of its last call. */
export function isOnline(session: Session, now: number): boolean {
  return session.parkedClaims > 0 || now - session.lastSeenAt <= ONLINE_WINDOW_MS;
}

function satisfies(session: Session, set: LabelSet): boolean {
  return (
    session.workspaceId === set.workspaceId &&
    labelsSatisfy(session.labels, set.labels) &&
    set.capabilities.every((capability) => session.capabilities.has(capability))
  );
}
