import type { RepositoryHeadsRow } from "../../../store/schema.ts";
import type { Tx, WriteTx } from "../../../store/store.ts";
import { GIT_PROVIDER } from "../repository-url.ts";

/** A flood of calls of a webhook costs one look in this time. */
const PAUSE_MS = 5_000;

const FOLLOW = `insert into repository_heads (project_id, looked_at, failures, due_at)
  select cast(? as text), 0, 0, cast(? as bigint) from connections where id = ? and provider = '${GIT_PROVIDER}' on conflict (project_id) do nothing`;
const DUE = `select h.*, p.workspace_id, p.connection_id, p.external_repository_id, c.slug,
    case when p.archived_at is null and c.lifecycle_status = 'active' and w.status = 'active' then 1 else 0 end as follows
  from repository_heads h join projects p on p.id = h.project_id join connections c on c.id = p.connection_id
    join workspaces w on w.id = p.workspace_id where h.due_at <= ? order by h.due_at limit ?`;
const PLAN = `update repository_heads set heads = ?, looked_at = ?, failures = ?,
  due_at = case when due_at = ? then cast(? as bigint) else cast(? as bigint) end where project_id = ? and looked_at = ?`;
const CLAIM = "update repository_heads set due_at = ? where project_id = ? and due_at = ?";
const ASK = `update repository_heads set due_at = case when looked_at + ? > ? then looked_at + ? else cast(? as bigint) end
  where project_id in (select id from projects where connection_id = ?) and (due_at is null or due_at > looked_at + ?)`;

/** A project whose repository is to be looked at; `follows` is 0 for one that is archived or out of reach. */
export type DueHeads = RepositoryHeadsRow & {
  readonly due_at: number;
  readonly workspace_id: string;
  readonly connection_id: string;
  readonly external_repository_id: string;
  readonly slug: string;
  readonly follows: number;
};

/** Has a new project's repository looked at from now on, when it is one of a git connection. */
export async function followRepository(
  tx: WriteTx,
  project: { id: string; connection_id: string },
  now: number,
): Promise<void> {
  await tx.run(FOLLOW, [project.id, now, project.connection_id]);
}

export function dueHeads(tx: Tx, now: number, limit: number): Promise<DueHeads[]> {
  return tx.all<DueHeads>(DUE, [now, limit]);
}

export async function nextDueHeads(tx: Tx): Promise<number | null> {
  const sql = "select min(due_at) as next from repository_heads where due_at is not null";
  return (await tx.get<{ next: number | null }>(sql))?.next ?? null;
}

/** False when somebody else looks, or it was asked for at another time. */
export async function claimHeads(tx: WriteTx, { project_id, due_at }: DueHeads, until: number): Promise<boolean> {
  return (await tx.run(CLAIM, [until, project_id, due_at])) === 1;
}

/**
 * False when somebody else looked meanwhile. When a look was asked for since the claim, the next comes after a pause: this one may
 * have been too early to see what was pushed.
 */
export async function planNextLook(
  tx: WriteTx,
  claimed: RepositoryHeadsRow,
  next: Omit<RepositoryHeadsRow, "project_id">,
): Promise<boolean> {
  const { heads, looked_at: at, failures, due_at: dueAt } = next;
  const values = [heads, at, failures, claimed.due_at, dueAt, at + PAUSE_MS, claimed.project_id, claimed.looked_at];
  return (await tx.run(PLAN, values)) === 1;
}

/** Has all repositories of a connection looked at now, each not sooner than a pause after the last look. */
export async function lookNow(tx: WriteTx, connectionId: string, now: number): Promise<void> {
  await tx.run(ASK, [PAUSE_MS, now, PAUSE_MS, now, connectionId, PAUSE_MS]);
}
