import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { attemptQuerySchema } from "@shipfox/shared/machine";
import { z } from "zod";
import { route, type Route } from "../../http/route.ts";
import type { Store } from "../../store/store.ts";
import { requireLeasedStep } from "./leased-step.ts";

const runtimeQuerySchema = attemptQuerySchema.extend({ step_id: id });
/** JSON-RPC; what it asks for does not matter while no step may ask. */
const mcpBodySchema = z.looseObject({});

/** What an agent step asks for. The workflow language has no such steps, so every other step is told that it is none. */
export function createAgentRoutes({ store }: { store: Store }): Route[] {
  return [
    route({
      method: "GET",
      path: "/runs/jobs/current/agent-runtime-config",
      tag: "Machine: jobs",
      summary: "The model and credentials of an agent step",
      credential: "lease",
      query: runtimeQuerySchema,
      responses: {},
      errors: [
        "lease-not-active",
        "step-not-found",
        "job-not-found",
        "step-attempt-mismatch",
        "step-not-running",
        "step-not-agent",
      ],
      handle: async ({ principal, query }) => {
        await store.read((tx) => requireLeasedStep(tx, principal, query.step_id, query.attempt));
        throw new ApiError("step-not-agent", "the step runs a command; only agent steps have a runtime configuration");
      },
    }),
    route({
      method: "POST",
      path: "/runs/jobs/current/integration-tools/mcp",
      tag: "Machine: jobs",
      summary: "Tools of the project's integrations for an agent step",
      credential: "lease",
      body: mcpBodySchema,
      responses: {},
      errors: [
        "lease-missing-step",
        "lease-not-active",
        "step-not-found",
        "job-not-found",
        "step-attempt-mismatch",
        "step-not-running",
        "leased-step-not-agent",
      ],
      handle: async ({ principal: lease }) => {
        const { stepId, stepAttempt } = lease;
        if (stepId === null || stepAttempt === null) throw new ApiError("lease-missing-step");
        await store.read((tx) => requireLeasedStep(tx, lease, stepId, stepAttempt));
        throw new ApiError("leased-step-not-agent", "the step runs a command; only agent steps may use tools");
      },
    }),
  ];
}
