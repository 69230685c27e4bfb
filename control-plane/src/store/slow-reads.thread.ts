import { parentPort, workerData } from "node:worker_threads";
import type { SlowRead, SlowReadAnswer } from "./slow-reads.ts";
import { SqliteConnection } from "./sqlite-connection.ts";

// The thread of SlowReads: one statement after another, each an answer.
const connection = new SqliteConnection(workerData as string, "read-only");

parentPort?.on("message", ({ id, sql, params }: SlowRead) => {
  parentPort?.postMessage(answer(id, sql, params));
});

function answer(id: number, sql: string, params: SlowRead["params"]): SlowReadAnswer {
  try {
    return { id, rows: connection.allNow(sql, params) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}
