import { ApiError } from "@shipfox/shared/errors";
import { Lru } from "../../store/lru.ts";
import type { DefinitionRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import type { StartRun } from "../runs/public.ts";
import type { TriggeredRun } from "../triggers/public.ts";
import { asRunnable, type WorkflowModel, type WorkflowPlan } from "../workflow/public.ts";
import type { StartRunPort } from "./ports.ts";

const MAX_CACHED = 256;
/** Larger ones are read each time, so that the cache has a size. */
const MAX_CACHED_CHARS = 256 * 1024;

const HEAD =
  "select id, workspace_id, project_id, manual_trigger, updated_at from definitions where id = ? and deleted_at is null";
const CONTENT = "select yaml, called_files, model from definitions where id = ?";

/** What is looked at before a run is started. */
export type DefinitionHead = Pick<
  DefinitionRow,
  "id" | "workspace_id" | "project_id" | "manual_trigger" | "updated_at"
>;

interface Content {
  readonly updatedAt: number;
  readonly yaml: string;
  readonly calledFiles: string | null;
  readonly model: WorkflowPlan;
}

export interface DefinitionRun
  extends Pick<StartRun, "trigger" | "pinnedCommit" | "untrusted" | "depth" | "overLimit" | "now"> {
  /** Of the definition as it is; may throw. */
  readonly inputs: (plan: WorkflowPlan) => Record<string, unknown> | null;
}

/** Undefined for a definition that was removed. */
export function findHead(tx: Tx, definitionId: string): Promise<DefinitionHead | undefined> {
  return tx.get<DefinitionHead>(HEAD, [definitionId]);
}

/** Starts runs of definitions as they are now. The model of a definition is read and parsed once per version of it. */
export class DefinitionStarter {
  readonly #cache = new Lru<string, Content>(MAX_CACHED);
  readonly #startRun: StartRunPort;

  constructor(startRun: StartRunPort) {
    this.#startRun = startRun;
  }

  /** Throws 422 `not-runnable-yet`, and what `startRun` throws. */
  async start(tx: WriteTx, head: DefinitionHead, { inputs, ...run }: DefinitionRun): Promise<{ runId: string }> {
    const content = await this.#contentOf(tx, head);
    return this.#startRun(tx, {
      ...run,
      workspaceId: head.workspace_id,
      projectId: head.project_id,
      definitionId: head.id,
      model: requireRunnable(content.model),
      workflowYaml: content.yaml,
      calledFiles: content.calledFiles,
      inputs: inputs(content.model),
    });
  }

  /** As `start`, for an event. Throws 404 `manual-trigger-not-found` for a definition that was removed. */
  async startTriggered(tx: WriteTx, { definitionId, inputs, ...run }: TriggeredRun): Promise<{ runId: string }> {
    const head = await findHead(tx, definitionId);
    if (!head) throw definitionRemoved();
    return this.start(tx, head, { ...run, inputs: () => inputs });
  }

  async #contentOf(tx: WriteTx, head: DefinitionHead): Promise<Content> {
    const known = this.#cache.get(head.id);
    if (known?.updatedAt === head.updated_at) return known;
    const row = await tx.get<Pick<DefinitionRow, "yaml" | "called_files" | "model">>(CONTENT, [head.id]);
    if (!row) throw definitionRemoved();
    const content = {
      updatedAt: head.updated_at,
      yaml: row.yaml,
      calledFiles: row.called_files,
      model: JSON.parse(row.model) as WorkflowPlan,
    };
    // Only what was committed may stay: within this unit we may see a version that a failing commit takes back.
    if (content.yaml.length + (content.calledFiles?.length ?? 0) <= MAX_CACHED_CHARS)
      tx.afterCommit(() => void this.#cache.set(head.id, content));
    return content;
  }
}

function definitionRemoved(): ApiError {
  return new ApiError(
    "manual-trigger-not-found",
    "the definition was removed; list the project's definitions for those that exist",
  );
}

function requireRunnable(plan: WorkflowPlan): WorkflowModel {
  const model = asRunnable(plan);
  if (model) return model;
  const [first, ...more] = plan.notRunnable ?? [];
  const others = more.length === 0 ? "" : `, and ${more.length} more`;
  const place = first === undefined ? "" : `: line ${first.line}, ${first.path} (${first.message})${others}`;
  const message = `the workflow uses parts of the language that this version does not run yet${place}`;
  throw new ApiError("not-runnable-yet", message, { details: plan.notRunnable });
}
