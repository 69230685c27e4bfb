import type { QueueRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

/** What waits, counted per label set and project, so that a claim never counts or scans. The rows are the truth. */
export class Depths {
  readonly #bySet = new Map<string, Map<string, number>>();
  #total = 0;

  /** All jobs in the queue. */
  get total(): number {
    return this.#total;
  }

  add(labelSetId: string, projectId: string, change: 1 | -1): void {
    this.#total += change;
    const byProject = this.#bySet.get(labelSetId) ?? new Map<string, number>();
    this.#bySet.set(labelSetId, byProject);
    const depth = (byProject.get(projectId) ?? 0) + change;
    if (depth > 0) byProject.set(projectId, depth);
    else byProject.delete(projectId);
    if (byProject.size === 0) this.#bySet.delete(labelSetId);
  }

  projects(labelSetId: string): ReadonlyMap<string, number> | undefined {
    return this.#bySet.get(labelSetId);
  }

  async recover(tx: Tx): Promise<void> {
    this.#bySet.clear();
    this.#total = 0;
    const rows = await tx.all<{ label_set_id: string; project_id: string; depth: number }>(
      "select label_set_id, project_id, count(*) as depth from queue group by label_set_id, project_id",
    );
    for (const row of rows) {
      this.#total += row.depth;
      const byProject = this.#bySet.get(row.label_set_id) ?? new Map<string, number>();
      this.#bySet.set(row.label_set_id, byProject.set(row.project_id, row.depth));
    }
  }
}

/** A place in the queue that a session could claim from. */
export interface Candidate {
  readonly labelSetId: string;
  readonly projectId: string;
}

/**
 * Whose turn it is: among the projects with waiting jobs, the one served longest ago. The turn is taken when chosen, so
 * that many claims at once spread over the projects. Kept in memory: after a restart everybody starts level.
 */
export class Turns {
  readonly #lastServed = new Map<string, number>();
  #counter = 0;

  choose(candidates: readonly Candidate[]): Candidate | undefined {
    let chosen: Candidate | undefined;
    let servedAt = Number.POSITIVE_INFINITY;
    for (const candidate of candidates) {
      const own = this.#lastServed.get(candidate.projectId) ?? 0;
      if (own < servedAt) {
        chosen = candidate;
        servedAt = own;
      }
    }
    if (chosen) this.#lastServed.set(chosen.projectId, ++this.#counter);
    return chosen;
  }
}

const INSERT = `insert into queue (job_execution_id, workspace_id, project_id, label_set_id, priority, avoided_session_id, avoided_until, queued_at)
  values (?, ?, ?, ?, ?, ?, ?, ?)`;
const WITHDRAW = "delete from queue where job_execution_id = ? returning label_set_id, project_id";
const TAKE_FIRST = (skipLocked: string) => `delete from queue where number = (
    select number from queue where workspace_id = ? and label_set_id = ? and project_id = ?
      and (avoided_session_id is null or avoided_session_id <> ? or avoided_until <= ?)
    order by priority desc, number limit 1${skipLocked}
  ) returning job_execution_id, queued_at`;

export async function insertQueueRow(
  tx: WriteTx,
  row: {
    executionId: string;
    workspaceId: string;
    projectId: string;
    labelSetId: string;
    priority: number;
    avoidedSessionId: string | null;
    avoidedUntil: number | null;
    now: number;
  },
): Promise<void> {
  await tx.run(INSERT, [
    row.executionId,
    row.workspaceId,
    row.projectId,
    row.labelSetId,
    row.priority,
    row.avoidedSessionId,
    row.avoidedUntil,
    row.now,
  ]);
}

export async function deleteQueueRow(tx: WriteTx, executionId: string): Promise<Candidate | undefined> {
  const row = await tx.get<{ label_set_id: string; project_id: string }>(WITHDRAW, [executionId]);
  return row && { labelSetId: row.label_set_id, projectId: row.project_id };
}

/** Takes the first row that the session may have, locking that row alone; undefined when there is none. */
export async function takeFirst(
  tx: WriteTx,
  skipLocked: string,
  workspaceId: string,
  candidate: Candidate,
  session: { id: string; now: number },
): Promise<Pick<QueueRow, "job_execution_id" | "queued_at"> | undefined> {
  return tx.get(TAKE_FIRST(skipLocked), [
    workspaceId,
    candidate.labelSetId,
    candidate.projectId,
    session.id,
    session.now,
  ]);
}
