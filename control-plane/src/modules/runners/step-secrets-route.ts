import { errorSchema, id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { attemptQuerySchema, secretBindingsSchema, stepSecretsReplySchema } from "@shipfox/shared/machine";
import { z } from "zod";
import { originOf } from "../../http/origin.ts";
import { route, type Route } from "../../http/route.ts";
import type { Store, Tx } from "../../store/store.ts";
import { withholdsSecrets } from "../runs/public.ts";
import { requireLeasedStep } from "./leased-step.ts";

/** Where the values of secrets come from; implemented above, by the secrets module. */
export interface SecretsPort {
  /** The value of each key as the project sees it now. Throws 422 `secret-not-found`, 409 `secret-value-invalid`. */
  open(
    tx: Tx,
    place: { workspaceId: string; projectId: string },
    keys: Iterable<string>,
  ): Promise<ReadonlyMap<string, string>>;
}

/**
 * Exactly the secrets that the running step names, read when it asks: a value that was just replaced counts. What is read is
 * written to the audit log in the same transaction and before the answer, so that no value leaves without a trace.
 */
export function createStepSecretsRoute({ store, secrets }: { store: Store; secrets: SecretsPort }): Route {
  return route({
    method: "GET",
    path: "/runs/jobs/current/steps/{stepId}/secrets",
    tag: "Machine: jobs",
    summary: "The values of the secrets that the step's bindings name",
    credential: "lease",
    params: z.object({ stepId: id }),
    query: attemptQuerySchema,
    // The code is 404 for users, who name the secret themselves.
    responses: { 200: stepSecretsReplySchema, 422: errorSchema },
    errors: [
      "lease-not-active",
      "step-not-found",
      "job-not-found",
      "step-attempt-mismatch",
      "step-not-running",
      "step-not-run",
      "secret-bindings-invalid",
      "secret-withheld",
      "secret-value-invalid",
    ],
    handle: async ({ principal, params, query, request }) => {
      const actor = { userId: null, token: null, runnerId: principal.runnerId, origin: originOf(request) };
      const opened = await store.write(async (tx) => {
        const step = await requireLeasedStep(tx, principal, params.stepId, query.attempt);
        if (step.type !== "run") throw new ApiError("step-not-run", "the step runs no command, so it has no secrets");
        const bindings = secretBindingsSchema.safeParse(step.config["secret_bindings"] ?? []);
        if (!bindings.success) throw new ApiError("secret-bindings-invalid");
        const keys = bindings.data.flatMap(({ segments }) =>
          segments.flatMap((segment) => (segment.kind === "secret" ? [segment.key] : [])),
        );
        const [first] = keys;
        if (first !== undefined && (await withholdsSecrets(tx, principal.runId))) throw secretWithheld(first);
        const values = await secrets.open(tx, principal, keys);
        if (values.size > 0) {
          await tx.audit(actor, {
            workspaceId: principal.workspaceId,
            action: "secret.read",
            target: { type: "step", id: params.stepId },
            details: {
              keys: [...values.keys()],
              attempt: query.attempt,
              runner_id: principal.runnerId,
              workflow_run_id: principal.runId,
              job_id: principal.jobId,
              job_execution_id: principal.executionId,
              project_id: principal.projectId,
            },
          });
        }
        return values;
      });
      const body = [...opened].map(([key, value]) => ({ store: "local", key, value }));
      return { status: 200, headers: { "cache-control": "no-store" }, body: { secrets: body } };
    },
  });
}

function secretWithheld(key: string): ApiError {
  const message = `a run of an untrusted event, as of a fork, gets no secrets, so not ${key}, unless its project says otherwise`;
  return new ApiError("secret-withheld", message, { details: { key } });
}
