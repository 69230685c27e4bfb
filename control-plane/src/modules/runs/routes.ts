import {
  cancelRunBodySchema,
  rerunBodySchema,
  runAggregatesQuerySchema,
  runAggregatesReplySchema,
  runAttemptsReplySchema,
  runDetailSchema,
  runQuerySchema,
  runSchema,
  runsQuerySchema,
  runsReplySchema,
  stepAttemptDetailSchema,
} from "@shipfox/shared/api/runs";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import { requireVisible, type Access } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import { route, type Route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import { newestEvent } from "../../store/newest-event.ts";
import type { Store, Tx } from "../../store/store.ts";
import { aggregateRuns } from "./aggregate-runs.ts";
import { cancelRun } from "./cancel-run.ts";
import type { EventSince } from "./events-since.ts";
import { listRuns } from "./list-runs.ts";
import type { RunsDeps, WaitingPort } from "./ports.ts";
import { presentRun } from "./present.ts";
import { fileOfStep, findStepAttempt, presentStepDetail, readAttempts } from "./read-attempts.ts";
import { readRun } from "./read-run.ts";
import { RunCounts } from "./run-counts.ts";
import { rerunRun } from "./rerun-run.ts";
import { ShownRuns } from "./shown-runs.ts";
import { findRun } from "./store.ts";

export interface RunRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly runs: RunsDeps;
  readonly waiting: WaitingPort;
  /** Parses a workflow file as it was when a run was made; null when this version cannot read it. Below the definitions. */
  readonly readDocument: (yaml: string) => Promise<unknown>;
}

const params = z.object({ id });
const stepAttempt = z.object({ stepId: id, attempt: z.coerce.number().int().min(1) });

export function createRunRoutes(deps: RunRoutesDeps): Route[] {
  const { store, access, waiting, clock } = deps;
  const counts = new RunCounts(store, deps.runs.removed);
  const shown = new ShownRuns(store, deps.runs.removed);
  const noProject = () => new ApiError("project-not-found", "there is no such project that you may see");
  const hidden = () => new ApiError("not-found", "there is no such run that you may see");
  const hiddenStep = () => new ApiError("not-found", "there is no such step attempt that you may see");
  const requireProject = async (tx: Tx, principal: Caller, projectId: string) => {
    const project = await tx.get<{ workspace_id: string }>("select workspace_id from projects where id = ?", [
      projectId,
    ]);
    if (!project) throw noProject();
    await requireVisible(access, tx, principal, project.workspace_id, noProject);
    return project.workspace_id;
  };
  const stepAttemptRoute = (path: string): Route =>
    route({
      method: "GET",
      path,
      tag: "Runs",
      summary: "One attempt of a step: as it was written, as it was handed out, and how it went",
      credential: "user",
      needs: "runs:read",
      params: stepAttempt,
      responses: { 200: stepAttemptDetailSchema },
      errors: ["not-found"],
      handle: async ({ principal, params: { stepId, attempt } }) => {
        const found = await store.read(async (tx) => {
          const step = await findStepAttempt(tx, stepId, attempt);
          if (!step) throw hiddenStep();
          await requireVisible(access, tx, principal, step.step.workspace_id, hiddenStep);
          return step;
        });
        const document = await deps.readDocument(fileOfStep(found.step));
        return { status: 200, body: presentStepDetail(found, document) };
      },
    });

  return [
    route({
      method: "GET",
      path: "/workflows/runs",
      tag: "Runs",
      summary: "List a project's runs, newest first",
      credential: "user",
      needs: "runs:read",
      query: runsQuerySchema,
      hot: true,
      responses: { 200: runsReplySchema },
      errors: ["invalid-cursor", "project-not-found"],
      handle: async ({ principal, query }) => {
        const key = `list ${JSON.stringify(query)}`;
        const kept = shown.get(key);
        const known = kept && shown.replyNow(kept, principal);
        if (known) return known;
        const by = shown.look(principal);
        const look = await store.read(async (tx) => {
          if (kept) {
            await requireVisible(access, tx, principal, kept.facts.workspaceId, noProject);
            const again = await shown.replyIn(tx, kept, by);
            if (again) return { again };
          }
          const workspaceId = await requireProject(tx, principal, query.project_id);
          const seen = (await newestEvent(tx, workspaceId)) ?? 0;
          return { workspaceId, seen, page: await listRuns(tx, waiting, query) };
        });
        if (look.again) return look.again;
        const { workspaceId, seen, page } = look;
        const count =
          query.cursor === undefined ? { filtered_total_count: await counts.count(workspaceId, query) } : undefined;
        const waits = page.runs.some(({ jobs }) => jobs.some((job) => job.waiting !== null));
        const isAbout = (event: EventSince) => event.project_id === query.project_id;
        return shown.keep(key, { body: { ...page, ...count }, workspaceId, seen, waits, isAbout }, by);
      },
    }),
    route({
      method: "GET",
      path: "/workflows/runs/aggregates",
      tag: "Runs",
      summary: "How many of a project's runs each status, trigger and workflow has",
      credential: "user",
      needs: "runs:read",
      query: runAggregatesQuerySchema,
      responses: { 200: runAggregatesReplySchema },
      errors: ["project-not-found"],
      handle: async ({ principal, query }) => {
        await store.read((tx) => requireProject(tx, principal, query.project_id));
        return { status: 200, body: await aggregateRuns(store, query) };
      },
    }),
    route({
      method: "GET",
      path: "/workflows/runs/{id}/attempts",
      tag: "Runs",
      summary: "The attempts of a run, oldest first",
      credential: "user",
      needs: "runs:read",
      params,
      responses: { 200: runAttemptsReplySchema },
      errors: ["not-found"],
      handle: async ({ principal, params: { id: runId } }) => {
        const attempts = await store.read(async (tx) => {
          const run = await findRun(tx, runId);
          if (!run) throw hidden();
          await requireVisible(access, tx, principal, run.workspace_id, hidden);
          return readAttempts(tx, run);
        });
        return { status: 200, body: { attempts } };
      },
    }),
    stepAttemptRoute("/workflows/runs/steps/{stepId}/attempts/{attempt}"),
    stepAttemptRoute("/steps/{stepId}/attempts/{attempt}"),
    route({
      method: "GET",
      path: "/workflows/runs/{id}",
      tag: "Runs",
      summary: "One run with its jobs, executions, steps and attempts",
      credential: "user",
      needs: "runs:read",
      params,
      query: runQuerySchema,
      hot: true,
      responses: { 200: runDetailSchema },
      errors: ["not-found"],
      handle: async ({ principal, params: { id: runId }, query }) => {
        const key = `run ${runId} ${query.attempt ?? ""}`;
        const kept = shown.get(key);
        const known = kept && shown.replyNow(kept, principal);
        if (known) return known;
        const by = shown.look(principal);
        const look = await store.read(async (tx) => {
          if (kept) {
            await requireVisible(access, tx, principal, kept.facts.workspaceId, hidden);
            const again = await shown.replyIn(tx, kept, by);
            if (again) return { again };
          }
          const run = await findRun(tx, runId);
          if (!run) throw hidden();
          await requireVisible(access, tx, principal, run.workspace_id, hidden);
          const body = await readRun(tx, waiting, run, query.attempt ?? run.current_attempt);
          const seen = (await newestEvent(tx, run.workspace_id)) ?? 0;
          return { workspaceId: run.workspace_id, seen, body };
        });
        if (look.again) return look.again;
        const { body, workspaceId, seen } = look;
        const waits = body.jobs.some((job) => job.waiting !== null);
        const isAbout = (event: EventSince) => event.run_id === runId;
        return shown.keep(key, { body, workspaceId, seen, waits, isAbout }, by);
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
    route({
      method: "POST",
      path: "/workflows/runs/{id}/rerun",
      tag: "Runs",
      summary:
        "Run a run again that has ended, all of it or what did not succeed, from the workflow, variables and inputs it had",
      credential: "user",
      needs: "runs:control",
      audit: "run.rerun",
      rate: "run-start",
      params,
      body: rerunBodySchema,
      responses: { 200: runSchema },
      errors: [
        "not-found",
        "run-not-terminal",
        "no-failed-jobs",
        "project-archived",
        "workspace-label-sets-exhausted",
        "forbidden",
      ],
      handle: async ({ principal, params: { id: runId }, body: { mode } }) => {
        const now = clock.now();
        const run = await store.write(async (tx) => {
          const found = await findRun(tx, runId);
          if (!found) throw hidden();
          await requireVisible(access, tx, principal, found.workspace_id, hidden);
          await rerunRun(tx, deps.runs, runId, { mode, now });
          await tx.audit(principal, {
            workspaceId: found.workspace_id,
            action: "run.rerun",
            target: { type: "run", id: runId, name: found.name },
            details: { mode },
          });
          return findRun(tx, runId);
        });
        if (!run) throw hidden();
        return { status: 200, body: presentRun(run) };
      },
    }),
  ];
}
