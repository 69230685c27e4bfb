import { MAX_ANNOTATION_BODY_BYTES, MAX_ANNOTATIONS_PER_EXECUTION } from "@shipfox/shared/api/annotations";
import { type AnnotationOperation, MAX_ANNOTATIONS_BODY_BYTES } from "@shipfox/shared/machine";

/** What is around the operations in a request. */
const ENVELOPE_BYTES = 1024;

export interface ChosenOperations {
  operations: AnnotationOperation[];
  /** What is not sent, a sentence each. */
  faults: string[];
}

/**
 * Knows what the annotations of a job execution may still hold, so that one that goes too far does not cost all others of
 * its step: the control plane takes a request whole or not at all.
 */
export class AnnotationBudget {
  private readonly contexts = new Set<string>();

  /** The operations that fit, in order; what they name counts from now on. */
  choose(operations: readonly AnnotationOperation[]): ChosenOperations {
    const chosen: AnnotationOperation[] = [];
    const faults: string[] = [];
    let bytes = ENVELOPE_BYTES;
    let tooMany = 0;
    for (const operation of operations) {
      const size = Buffer.byteLength(JSON.stringify(operation)) + 1;
      if (operation.op !== "remove" && Buffer.byteLength(operation.body) > MAX_ANNOTATION_BODY_BYTES) {
        faults.push(
          `Annotation ${JSON.stringify(operation.context)} has more than ${MAX_ANNOTATION_BODY_BYTES} bytes.`,
        );
      } else if (bytes + size > MAX_ANNOTATIONS_BODY_BYTES) {
        faults.push(
          `Annotation ${JSON.stringify(operation.context)} is left out: all of a step are sent in one request of ${MAX_ANNOTATIONS_BODY_BYTES} bytes.`,
        );
      } else if (this.takes(operation)) {
        bytes += size;
        chosen.push(operation);
      } else tooMany += 1;
    }
    if (tooMany > 0)
      faults.push(`${tooMany} annotations are left out: a job may have ${MAX_ANNOTATIONS_PER_EXECUTION}.`);
    return { operations: chosen, faults };
  }

  private takes({ op, context }: AnnotationOperation): boolean {
    if (op === "remove") this.contexts.delete(context);
    else if (this.contexts.size >= MAX_ANNOTATIONS_PER_EXECUTION && !this.contexts.has(context)) return false;
    else this.contexts.add(context);
    return true;
  }
}
