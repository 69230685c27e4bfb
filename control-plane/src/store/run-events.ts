import type { RunEvent, RunEventDraft } from "./store.ts";
import type { Statements } from "./unit.ts";

/** Rows per insert: bounds the length of the statement and how many variants of it are prepared. */
const ROWS_PER_INSERT = 50;

const COLUMNS = "workspace_id, id, type, run_id, project_id, job_id, execution_id, step_id, payload, created_at";
const PLACEHOLDERS = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/**
 * Numbers and inserts the run events of a unit, or of several that share a commit, as the last statements. Taking the numbers locks the row of the
 * workspace until the commit, which makes their order the order of commits. Several workspaces are locked by the
 * order of their ids, so that two units cannot wait for each other.
 */
export async function appendRunEvents(statements: Statements, drafts: readonly RunEventDraft[]): Promise<RunEvent[]> {
  const byWorkspace = [...Map.groupBy(drafts, (draft) => draft.workspaceId)].sort(([a], [b]) => (a < b ? -1 : 1));
  const events: RunEvent[] = [];
  for (const [workspaceId, own] of byWorkspace) {
    const last = await takeNumbers(statements, workspaceId, own.length);
    events.push(...own.map((draft, index) => ({ ...draft, id: last - own.length + 1 + index })));
  }
  for (let start = 0; start < events.length; start += ROWS_PER_INSERT) {
    const part = events.slice(start, start + ROWS_PER_INSERT);
    const placeholders = Array.from(part, () => PLACEHOLDERS).join(", ");
    await statements.run(`insert into run_events (${COLUMNS}) values ${placeholders}`, part.flatMap(toRow));
  }
  return events;
}

async function takeNumbers(statements: Statements, workspaceId: string, count: number): Promise<number> {
  const [row] = await statements.all<{ last_event: number }>(
    "update workspaces set last_event = last_event + ? where id = ? returning last_event",
    [count, workspaceId],
  );
  if (!row) throw new Error(`A run event names the workspace ${workspaceId}, which does not exist.`);
  return row.last_event;
}

function toRow(event: RunEvent) {
  return [
    event.workspaceId,
    event.id,
    event.type,
    event.runId,
    event.projectId,
    event.jobId ?? null,
    event.executionId ?? null,
    event.stepId ?? null,
    JSON.stringify(event.payload),
    event.createdAt,
  ];
}
