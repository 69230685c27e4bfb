import {
  type AnnotationStyle,
  MAX_ANNOTATION_BODY_BYTES,
  MAX_ANNOTATION_BYTES_PER_EXECUTION,
  MAX_ANNOTATIONS_PER_EXECUTION,
} from "@shipfox/shared/api/annotations";
import { ApiError } from "@shipfox/shared/errors";
import type { AnnotationOperation } from "@shipfox/shared/machine";

/** The step attempt that says it. */
export interface Origin {
  readonly stepId: string;
  readonly stepAttempt: number;
}

/** An annotation as it is kept. `body` may be empty for one that no operation of the batch appends to. */
export interface KeptAnnotation extends Origin {
  readonly id: string;
  readonly context: string;
  readonly style: AnnotationStyle;
  readonly sequence: number;
  readonly body: string;
  readonly bodyBytes: number;
}

export interface Accounting {
  readonly count: number;
  readonly totalBytes: number;
}

export interface AppliedOperations {
  /** Per operation, in order: the annotation it made or changed, null for a removal. */
  readonly ids: (string | null)[];
  /** What is to be written, as it is after the last operation. */
  readonly written: KeptAnnotation[];
  readonly removedIds: string[];
  readonly accounting: Accounting;
}

/**
 * Applies the operations of one batch in order to the annotations of a job execution. `newIds` has one for each operation.
 * A replaced annotation keeps its id and place and belongs to the step that replaced it; one that is appended to stays
 * with the step that began it. Appended text starts on a new line.
 *
 * Throws 413 `annotation-body-too-large`, `annotation-count-limit-exceeded` or `annotation-total-bytes-limit-exceeded`;
 * then nothing of the batch counts.
 */
export function applyOperations(
  existing: readonly KeptAnnotation[],
  operations: readonly AnnotationOperation[],
  origin: Origin,
  newIds: readonly string[],
): AppliedOperations {
  const kept = new Map(existing.map((annotation) => [annotation.context, annotation]));
  const ids: (string | null)[] = [];
  const writtenContexts = new Set<string>();
  const removed = new Set<string>();
  let lastSequence = Math.max(0, ...existing.map((annotation) => annotation.sequence));
  for (const [index, operation] of operations.entries()) {
    const { context } = operation;
    const before = kept.get(context);
    if (operation.op === "remove") {
      ids.push(null);
      if (before) removed.add(before.id);
      kept.delete(context);
      writtenContexts.delete(context);
      continue;
    }
    const appendsTo = operation.op === "append" ? before : undefined;
    const body = appendsTo ? joinBodies(appendsTo.body, operation.body) : operation.body;
    const annotation: KeptAnnotation = {
      ...(appendsTo ?? origin),
      id: before?.id ?? (newIds[index] as string),
      context,
      style: operation.style ?? appendsTo?.style ?? "default",
      sequence: before?.sequence ?? ++lastSequence,
      body,
      bodyBytes: Buffer.byteLength(body),
    };
    kept.set(context, annotation);
    writtenContexts.add(context);
    ids.push(annotation.id);
    requireWithinLimits(annotation, accountingOf([...kept.values()]));
  }
  return {
    ids,
    written: [...writtenContexts].map((context) => kept.get(context) as KeptAnnotation),
    removedIds: [...removed],
    accounting: accountingOf([...kept.values()]),
  };
}

export function accountingOf(annotations: readonly KeptAnnotation[]): Accounting {
  return {
    count: annotations.length,
    totalBytes: annotations.reduce((sum, annotation) => sum + annotation.bodyBytes, 0),
  };
}

function joinBodies(before: string, after: string): string {
  return before === "" || before.endsWith("\n") ? before + after : `${before}\n${after}`;
}

function requireWithinLimits({ context, bodyBytes }: KeptAnnotation, { count, totalBytes }: Accounting): void {
  if (bodyBytes > MAX_ANNOTATION_BODY_BYTES) {
    throw new ApiError(
      "annotation-body-too-large",
      `the body of annotation ${JSON.stringify(context)} would have ${bodyBytes} bytes; at most ${MAX_ANNOTATION_BODY_BYTES} are allowed`,
      { details: { context, limit_bytes: MAX_ANNOTATION_BODY_BYTES } },
    );
  }
  if (count > MAX_ANNOTATIONS_PER_EXECUTION) {
    throw new ApiError(
      "annotation-count-limit-exceeded",
      `a job execution may have ${MAX_ANNOTATIONS_PER_EXECUTION} annotations; remove some or write several things into one`,
      { details: { limit: MAX_ANNOTATIONS_PER_EXECUTION } },
    );
  }
  if (totalBytes > MAX_ANNOTATION_BYTES_PER_EXECUTION) {
    throw new ApiError(
      "annotation-total-bytes-limit-exceeded",
      `the annotations of a job execution may have ${MAX_ANNOTATION_BYTES_PER_EXECUTION} bytes together; this would be ${totalBytes}`,
      { details: { limit_bytes: MAX_ANNOTATION_BYTES_PER_EXECUTION } },
    );
  }
}
