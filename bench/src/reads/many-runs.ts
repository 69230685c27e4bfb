import Database from "better-sqlite3";

/** A row as it is read: a value for each column. */
type Row = Record<string, string | number | null>;

/** Below a run; each table with the column that names the row above it. */
const TABLES = [
  { name: "run_attempts", parent: "run_id", of: "runs" },
  { name: "jobs", parent: "run_attempt_id", of: "run_attempts" },
  { name: "job_executions", parent: "job_id", of: "jobs" },
  { name: "steps", parent: "job_execution_id", of: "job_executions" },
  { name: "step_attempts", parent: "step_id", of: "steps" },
] as const;
const MINUTE_MS = 60_000;

/**
 * Copies a finished run so many times into the past, a minute apart, with everything below it but its log. The control plane
 * may run meanwhile.
 */
export function copyRun(file: string, runId: string, copies: number): void {
  const database = new Database(file, { timeout: 30_000 });
  try {
    const run = database.prepare("select * from runs where id = ?").get(runId) as Row;
    const rows = new Map<string, Row[]>([["runs", [run]]]);
    for (const { name, parent, of } of TABLES) {
      const find = database.prepare(`select * from ${name} where ${parent} = ?`);
      rows.set(
        name,
        (rows.get(of) ?? []).flatMap((row) => find.all(row["id"]) as Row[]),
      );
    }
    const ids = new Set([...rows.values()].flat().map((row) => row["id"]));
    const inserts = [...rows].flatMap(([table, all]) =>
      all.map((row) => ({ row, insert: insertOf(database, table, row) })),
    );
    database.transaction(() => {
      for (let copy = 1; copy <= copies; copy += 1) {
        for (const { row, insert } of inserts) insert.run(movedBack(row, ids, copy, Number(run["number"])));
      }
      const count = "update definitions set last_run_number = last_run_number + ? where id = ?";
      database.prepare(count).run(copies, run["definition_id"]);
    })();
  } finally {
    database.close();
  }
}

function insertOf(database: Database.Database, table: string, row: Row): Database.Statement {
  const columns = Object.keys(row);
  const values = columns.map((column) => `@${column}`).join(", ");
  return database.prepare(`insert into ${table} (${columns.join(", ")}) values (${values})`);
}

/** Ids begin with the number of the copy, so that those of one copy still belong together. */
export function idOfCopy(id: string, copy: number): string {
  return copy.toString(16).padStart(8, "0") + id.slice(8);
}

function movedBack(row: Row, ids: ReadonlySet<unknown>, copy: number, number: number): Row {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => {
      if (typeof value === "string" && ids.has(value)) return [column, idOfCopy(value, copy)];
      if (typeof value === "number" && column.endsWith("_at")) return [column, value - copy * MINUTE_MS];
      if (column === "number") return [column, number + copy];
      return [column, value];
    }),
  );
}
