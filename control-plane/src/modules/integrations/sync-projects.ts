import type { WriteTx } from "../../store/store.ts";
import type { DefinitionSync } from "../definitions/public.ts";
import { listProjectsOf, type ProjectOfConnection } from "./store.ts";

/** The part of the sync of definitions that connections use. */
export type Syncs = Pick<DefinitionSync, "request" | "run">;

/**
 * Has the projects of a connection follow their repositories once more, those that `concerns` picks; never archived ones. Answers
 * how many that are.
 */
export async function syncProjects(
  tx: WriteTx,
  syncs: Syncs,
  connectionId: string,
  now: number,
  concerns: (project: ProjectOfConnection) => boolean = () => true,
): Promise<number> {
  let count = 0;
  for (const project of await listProjectsOf(tx, connectionId)) {
    if (project.archived_at !== null || !concerns(project)) continue;
    await syncs.request(tx, project.id, now);
    tx.afterCommit(() => void syncs.run(project.id));
    count += 1;
  }
  return count;
}
