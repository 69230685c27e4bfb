import {
  annotationSummaryQuerySchema,
  annotationSummarySchema,
  annotationsQuerySchema,
  annotationsReplySchema as annotationsPageSchema,
} from "@shipfox/shared/api/annotations";
import { annotationsBodySchema, annotationsReplySchema, MAX_ANNOTATIONS_BODY_BYTES } from "@shipfox/shared/machine";
import { type Access, isMember } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import { route, type Route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store, Tx } from "../../store/store.ts";
import { annotate, type AnnotateSettings } from "./annotate.ts";
import { listAnnotations } from "./list-annotations.ts";
import { type AnnotationScope, countAnnotations } from "./store.ts";

export interface AnnotationRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly settings: AnnotateSettings;
  /** In which workspace a run is; null when there is none. */
  readonly workspaceOfRun: (tx: Tx, runId: string) => Promise<string | null>;
}

const EMPTY_PAGE = { annotations: [], has_more: false, next_cursor: null };
const EMPTY_SUMMARY = { total: 0, error: 0, warning: 0, info: 0, success: 0, step_counts: [] };

/** What steps say beside their logs. A run that the caller may not see has, as the published API answers, no annotations. */
export function createAnnotationRoutes(deps: AnnotationRoutesDeps): Route[] {
  const { store, clock, access, settings } = deps;

  const mayRead = async (tx: Tx, caller: Caller, runId: string): Promise<boolean> => {
    const workspaceId = await deps.workspaceOfRun(tx, runId);
    return workspaceId !== null && isMember(access, tx, caller, workspaceId);
  };

  return [
    route({
      method: "POST",
      path: "/runs/jobs/current/annotations",
      tag: "Machine: jobs",
      summary: "Write, append to and remove annotations, all of a batch or nothing",
      credential: "lease",
      body: annotationsBodySchema,
      bodyLimitBytes: MAX_ANNOTATIONS_BODY_BYTES,
      responses: { 200: annotationsReplySchema },
      errors: [
        "step-not-found",
        "lease-not-active",
        "annotation-body-too-large",
        "annotation-count-limit-exceeded",
        "annotation-total-bytes-limit-exceeded",
        "body-too-large",
      ],
      handle: async ({ principal, body }) => ({
        status: 200,
        body: await annotate(store, settings, principal, body, clock.now()),
      }),
    }),
    route({
      method: "GET",
      path: "/annotations",
      tag: "Annotations",
      summary: "What the steps of a run attempt say beside their logs",
      credential: "user",
      needs: "runs:read",
      query: annotationsQuerySchema,
      responses: { 200: annotationsPageSchema },
      errors: ["invalid-cursor"],
      handle: async ({ principal, query }) => {
        const body = await store.read(async (tx) => {
          if (!(await mayRead(tx, principal, query.workflow_run_id))) return EMPTY_PAGE;
          return listAnnotations(tx, scopeOf(query), { cursor: query.cursor, limit: query.limit });
        });
        return { status: 200, body };
      },
    }),
    route({
      method: "GET",
      path: "/annotations/summary",
      tag: "Annotations",
      summary: "How many annotations a run attempt has, by style and by step",
      credential: "user",
      needs: "runs:read",
      query: annotationSummaryQuerySchema,
      responses: { 200: annotationSummarySchema },
      handle: async ({ principal, query }) => {
        const body = await store.read(async (tx) => {
          if (!(await mayRead(tx, principal, query.workflow_run_id))) return EMPTY_SUMMARY;
          return countAnnotations(tx, scopeOf(query));
        });
        return { status: 200, body };
      },
    }),
  ];
}

function scopeOf(query: {
  workflow_run_id: string;
  attempt: number;
  job_execution_id?: string | undefined;
}): AnnotationScope {
  return { runId: query.workflow_run_id, attempt: query.attempt, executionId: query.job_execution_id ?? null };
}
