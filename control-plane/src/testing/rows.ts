import type { Role } from "@shipfox/shared/api/workspaces";
import { newId } from "@shipfox/shared/ids";
import type { Access } from "../http/access.ts";
import { systemClock } from "../store/clock.ts";
import type { Store } from "../store/store.ts";

const MEMBERSHIP =
  "insert into memberships (id, user_id, workspace_id, role, created_at, updated_at) values (?, ?, ?, ?, 0, 0)";

/** A user who never signed up; answers the id. */
export async function insertUser(store: Store): Promise<string> {
  const id = newId();
  const sql =
    "insert into users (id, email, password_hash, status, created_at, updated_at) values (?, ?, '', 'active', 0, 0)";
  await store.write((tx) => tx.run(sql, [id, `${id}@example.com`]));
  return id;
}

/** A workspace with these members; answers the id. */
export async function insertWorkspace(store: Store, members: Record<string, Role>): Promise<string> {
  const id = newId();
  await store.write(async (tx) => {
    const sql =
      "insert into workspaces (id, name, slug, status, last_event, created_at, updated_at) values (?, ?, ?, 'active', 0, 0, 0)";
    await tx.run(sql, [id, `Workspace ${id}`, id]);
    for (const [userId, role] of Object.entries(members)) {
      await tx.run(MEMBERSHIP, [newId(), userId, id, role]);
    }
  });
  return id;
}

/** A user who never signed up, with this role in the workspace; answers the id. */
export async function insertMember(store: Store, workspaceId: string, role: Role): Promise<string> {
  const userId = await insertUser(store);
  await store.write((tx) => tx.run(MEMBERSHIP, [newId(), userId, workspaceId, role]));
  return userId;
}

/** A git connection without credential; answers the id. */
export async function insertConnection(store: Store, workspaceId: string): Promise<string> {
  const id = newId();
  const sql = `insert into connections (id, workspace_id, provider, external_account_id, slug, display_name, lifecycle_status, settings, created_at, updated_at)
    values (?, ?, 'git', 'git', ?, 'Git', 'active', '{"baseUrl":null,"username":null}', 0, 0)`;
  await store.write((tx) => tx.run(sql, [id, workspaceId, id]));
  return id;
}

/** A project on `main`; answers the id. */
export async function insertProject(
  store: Store,
  project: { workspaceId: string; connectionId: string; repository: string },
): Promise<string> {
  const id = newId();
  const sql = `insert into projects (id, workspace_id, name, slug, connection_id, external_repository_id, default_branch, created_at, updated_at)
    values (?, ?, 'Project', ?, ?, ?, 'main', 0, 0)`;
  await store.write((tx) => tx.run(sql, [id, project.workspaceId, id, project.connectionId, project.repository]));
  return id;
}

/** The members that `insertWorkspace` made, for the modules that lie below the workspaces. */
export const memberAccess: Access = {
  async role(tx, userId, workspaceId) {
    const sql = "select role from memberships where user_id = ? and workspace_id = ?";
    return (await tx.get<{ role: Role }>(sql, [userId, workspaceId]))?.role ?? null;
  },
  instanceRole: async () => null,
};

/** What the routes of workspaces need, where nothing of a workspace runs. */
export function workspaceDeps(store: Store) {
  return {
    store,
    clock: systemClock,
    access: memberAccess,
    accessChanged: () => {},
    removals: { begin: async () => {} },
  };
}

/** What an approver sees of an event that waits. */
export const HELD = { commit: "a".repeat(40), workflows_hash: "b".repeat(64) };

/** An event of a pull request that waits for an approval; answers its id. */
export async function insertHeldEvent(store: Store, workspaceId: string): Promise<string> {
  const id = newId();
  const sql = `insert into trigger_events (id, workspace_id, origin, event_ref, source, event, untrusted, payload, payload_bytes,
      outcome, matched_count, received_at, created_at, head_commit, approval, workflows_hash)
    values (?, ?, 'integration', ?, 'github_acme', 'pull_request.opened', 1, '{}', 2, 'received', 1, 0, 0, ?, 'waiting', ?)`;
  await store.write((tx) => tx.run(sql, [id, workspaceId, id, HELD.commit, HELD.workflows_hash]));
  return id;
}
