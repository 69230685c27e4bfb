import type { AnnotationOperation } from "@shipfox/shared/machine";
import type { Logger } from "@shipfox/shared/logger";
import type { ControlPlaneClient } from "../control-plane/client.ts";

/** Annotations are an extra: a step's report does not wait for them longer. */
const PUBLISH_LIMIT_MS = 2_500;

/** Sends what a step says beside its log, once. A failure costs the annotations, never the step. */
export async function publishAnnotations(
  client: ControlPlaneClient,
  send: { leaseToken: string; stepId: string; attempt: number; operations: readonly AnnotationOperation[] },
  options: { signal: AbortSignal; logger: Logger },
): Promise<void> {
  if (send.operations.length === 0) return;
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(PUBLISH_LIMIT_MS)]);
  await client.annotate({ ...send, signal }).catch((error: unknown) => {
    options.logger.warn({ step_id: send.stepId, error: (error as Error).message }, "annotations could not be sent");
  });
}
