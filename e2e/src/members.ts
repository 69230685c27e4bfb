import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import pg from "pg";
import { DATABASE_FILES } from "./database.ts";

const BUSY_TIMEOUT_MS = 5_000;

/** Makes users members of a workspace, past all invitations. `databaseUrl` null is SQLite in `dataDir`. */
export async function addMembers(
  database: { readonly dataDir: string; readonly databaseUrl: string | null },
  workspaceId: string,
  userIds: readonly string[],
): Promise<void> {
  const rows = userIds.map((userId) => `('${randomUUID()}', '${userId}', '${workspaceId}', 'maintainer', 0, 0)`);
  const sql = `insert into memberships (id, user_id, workspace_id, role, created_at, updated_at) values ${rows.join(", ")}`;
  if (database.databaseUrl === null) {
    const file = new DatabaseSync(join(database.dataDir, DATABASE_FILES[0]), { timeout: BUSY_TIMEOUT_MS });
    file.exec(sql);
    file.close();
    return;
  }
  const client = new pg.Client({ connectionString: database.databaseUrl });
  await client.connect();
  await client.query(sql);
  await client.end();
}
