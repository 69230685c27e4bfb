import {
  cancelRunBodySchema,
  runDetailSchema,
  runQuerySchema,
  runSchema,
  runsQuerySchema,
  runsReplySchema,
} from "@shipfox/shared/api/runs";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import { requireVisible, type Access } from "../../http/access.ts";
import { route, type Route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { cancelRun } from "./cancel-run.ts";
import type { RunsDeps } from "./end-execution.ts";
import { countRuns, listRuns } from "./list-runs.ts";
import type { WaitingPort } from "./ports.ts";
import { presentRun } from "./present.ts";
import { readRun } from "./read-run.ts";
import { findRun } from "./store.ts";

export interface RunRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly runs: RunsDeps;
  readonly waiting: WaitingPort;
}

const params = z.object({ id });

export function createRunRoutes(deps: RunRoutesDeps): Route[] {
  const { store, access, waiting, clock } = deps;
  const noProject = () => new ApiError("project-not-found", "there is no such project that you may see");
  const hidden = () => new ApiError("not-found", "there is no such run that you may see");

  return [
    route({
      method: "GET",
      path: "/workflows/runs",
      tag: "Runs",
      summary: "List a project's runs, newest first",
      credential: "user",
      needs: "runs:read",
      query: runsQuerySchema,
      responses: { 200: runsReplySchema },
      errors: ["invalid-cursor", "project-not-found"],
      handle: async ({ principal, query }) => {
        const page = await store.read(async (tx) => {
          const project = await tx.get<{ workspace_id: string }>("select workspace_id from projects where id = ?", [
            query.project_id,
          ]);
          if (!project) throw noProject();
          await requireVisible(access, tx, principal, project.workspace_id, noProject);
          return listRuns(tx, waiting, query);
        });
        if (query.cursor !== undefined) return { status: 200, body: page };
        return { status: 200, body: { ...page, filtered_total_count: await countRuns(store, query) } };
      },
    }),
    route({
      method: "GET",
      path: "/workflows/runs/{id}",
      tag: "Runs",
      summary: "One run with its jobs, executions, steps and attempts",
      credential: "user",
      needs: "runs:read",
      params,
      query: runQuerySchema,
      responses: { 200: runDetailSchema },
      errors: ["not-found"],
      handle: async ({ principal, params: { id: runId }, query }) => {
        const body = await store.read(async (tx) => {
          const run = await findRun(tx, runId);
          if (!run) throw hidden();
          await requireVisible(access, tx, principal, run.workspace_id, hidden);
          return readRun(tx, waiting, run, query.attempt ?? run.current_attempt);
        });
        return { status: 200, body };
      },
    }),
    route({
      method: "POST",
      path: "/workflows/runs/{id}/cancel",
      tag: "Runs",
      summary: "Cancel everything of a run that has not ended; with force without grace",
      credential: "user",
      needs: "runs:control",
      audit: "run.cancelled",
      params,
      body: cancelRunBodySchema,
      optionalBody: true,
      responses: { 200: runSchema },
      errors: ["not-found", "run-already-finished", "forbidden"],
      handle: async ({ principal, params: { id: runId }, body }) => {
        const now = clock.now();
        const run = await store.write(async (tx) => {
          const found = await findRun(tx, runId);
          if (!found) throw hidden();
          await requireVisible(access, tx, principal, found.workspace_id, hidden);
          await cancelRun(tx, deps.runs, runId, { force: body?.force ?? false, now });
          await tx.audit(principal, {
            workspaceId: found.workspace_id,
            action: "run.cancelled",
            target: { type: "run", id: runId, name: found.name },
            ...(body?.force ? { details: { force: true } } : {}),
          });
          return findRun(tx, runId);
        });
        if (!run) throw hidden();
        return { status: 200, body: presentRun(run) };
      },
    }),
  ];
}
