import type { Tx, WriteTx } from "../../store/store.ts";
import type { StartRun } from "../runs/public.ts";

/** What definitions need from projects, which lie above them. Given by app.ts. */
export interface ProjectsPort {
  /** The workspace a project belongs to; null when there is no such project. */
  workspaceOf(tx: Tx, projectId: string): Promise<string | null>;
}

export interface FetchedFile {
  /** From the root of the repository. */
  readonly path: string;
  /** Null for a file of more bytes than are taken. */
  readonly content: Buffer | null;
}

export interface FetchedWorkflows {
  /** The default branch. */
  readonly branch: string;
  readonly sha: string;
  readonly files: readonly FetchedFile[];
}

/** Reads a project's repository. Has its own deadline; throws ApiError when the repository cannot be read. */
export interface WorkflowSource {
  fetchWorkflows(projectId: string): Promise<FetchedWorkflows>;
}

/** Creates a run inside the caller's unit. Bound to dispatch by app.ts. */
export type StartRunPort = (tx: WriteTx, request: StartRun) => Promise<{ runId: string }>;
