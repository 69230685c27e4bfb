import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import type { annotationsBodySchema, annotationsReplySchema } from "@shipfox/shared/machine";
import type { z } from "zod";
import type { LeasePrincipal } from "../../http/route.ts";
import type { Store } from "../../store/store.ts";
import { presentedLeaseEndedAt } from "../dispatch/public.ts";
import { accountingOf, applyOperations } from "./model.ts";
import { findKept, lockExecution, removeAnnotation, writeAnnotation } from "./store.ts";

type AnnotationsBody = z.output<typeof annotationsBodySchema>;
type AnnotationsReply = z.output<typeof annotationsReplySchema>;

export interface AnnotateSettings {
  /** How long an execution may still add to itself after its lease ended, in milliseconds: as long as its logs stay open. */
  readonly tailMs: number;
}

/**
 * Takes a batch of a step, all of it or nothing. An execution whose lease ended, also one that another has replaced, adds
 * to its own annotations for `tailMs`; afterwards the answer is the frozen account and nothing changes.
 *
 * Throws 404 `step-not-found` and `lease-not-active`, and what `applyOperations` throws.
 */
export async function annotate(
  store: Store,
  settings: AnnotateSettings,
  principal: LeasePrincipal,
  body: AnnotationsBody,
  now: number,
): Promise<AnnotationsReply> {
  if (principal.stepId !== body.step_id || principal.stepAttempt !== body.attempt) {
    throw new ApiError(
      "step-not-found",
      "the lease token was not made for this step and attempt; use the one that came with the step",
    );
  }
  const operations = body.annotations;
  const appended = new Set(operations.filter(({ op }) => op === "append").map(({ context }) => context));
  const newIds = operations.map(() => newId(now));
  return store.write(async (tx) => {
    await lockExecution(tx, store.sql.forUpdate, principal.executionId);
    const endedAt = await presentedLeaseEndedAt(tx, principal);
    const kept = await findKept(tx, principal.executionId, appended);
    if (endedAt !== null && endedAt + settings.tailMs <= now) {
      const known = new Map(kept.map(({ context, id }) => [context, id]));
      const ids = operations.map(({ context }) => known.get(context) ?? null);
      return present(operations, ids, accountingOf(kept));
    }
    const origin = { stepId: body.step_id, stepAttempt: body.attempt };
    const { ids, written, removedIds, accounting } = applyOperations(kept, operations, origin, newIds);
    for (const id of removedIds) await removeAnnotation(tx, id);
    for (const annotation of written) await writeAnnotation(tx, principal, annotation);
    if (removedIds.length + written.length > 0) {
      tx.record({
        workspaceId: principal.workspaceId,
        projectId: principal.projectId,
        runId: principal.runId,
        jobId: principal.jobId,
        executionId: principal.executionId,
        stepId: body.step_id,
        type: "annotations.changed",
        payload: { annotation_count: accounting.count },
        createdAt: now,
      });
    }
    return present(operations, ids, accounting);
  });
}

function present(
  operations: AnnotationsBody["annotations"],
  ids: readonly (string | null)[],
  accounting: { count: number; totalBytes: number },
): AnnotationsReply {
  return {
    annotations: operations.map(({ context }, index) => ({ context, id: ids[index] ?? null })),
    accounting: { annotation_count: accounting.count, total_body_bytes: accounting.totalBytes },
  };
}
