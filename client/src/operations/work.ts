import {
  annotationsQuerySchema,
  annotationsReplySchema,
  annotationSummaryQuerySchema,
  annotationSummarySchema,
} from "@shipfox/shared/api/annotations";
import {
  artifactsQuerySchema,
  artifactsReplySchema,
  cachesQuerySchema,
  cachesReplySchema,
  deleteCachesQuerySchema,
  deleteCachesReplySchema,
} from "@shipfox/shared/api/artifacts";
import {
  createDefinitionBodySchema,
  definitionSchema,
  definitionsQuerySchema,
  definitionsReplySchema,
  fireManualBodySchema,
  fireManualReplySchema,
  syncSchema,
  validateDefinitionBodySchema,
  validateDefinitionReplySchema,
} from "@shipfox/shared/api/definitions";
import {
  eventStreamQuerySchema,
  runEventsQuerySchema,
  runEventsReplySchema,
  runEventStreamQuerySchema,
} from "@shipfox/shared/api/events";
import { logPageSchema, logQuerySchema, logStreamQuerySchema } from "@shipfox/shared/api/logs";
import {
  createProjectBodySchema,
  projectSchema,
  projectsQuerySchema,
  projectsReplySchema,
  updateProjectBodySchema,
} from "@shipfox/shared/api/projects";
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
import type { Operations } from "../operation.ts";

/** Fetching and reading a repository may take this long on the server. */
const REPOSITORY_TIMEOUT_MS = 120_000;

export const projects = {
  create: {
    method: "POST",
    path: "/projects",
    body: createProjectBodySchema,
    reply: projectSchema,
    keyed: true,
    timeoutMs: REPOSITORY_TIMEOUT_MS,
  },
  list: { method: "GET", path: "/projects", query: projectsQuerySchema, reply: projectsReplySchema, items: "projects" },
  get: { method: "GET", path: "/projects/{projectId}", reply: projectSchema },
  update: { method: "PATCH", path: "/projects/{projectId}", body: updateProjectBodySchema, reply: projectSchema },
  archive: { method: "POST", path: "/projects/{projectId}/archive", reply: projectSchema, keyed: true },
  unarchive: { method: "POST", path: "/projects/{projectId}/unarchive", reply: projectSchema, keyed: true },
  sync: {
    method: "POST",
    path: "/projects/{projectId}/sync",
    reply: syncSchema,
    keyed: true,
    timeoutMs: REPOSITORY_TIMEOUT_MS,
  },
} as const satisfies Operations;

export const definitions = {
  save: {
    method: "POST",
    path: "/definitions",
    body: createDefinitionBodySchema,
    reply: definitionSchema,
    keyed: true,
  },
  list: {
    method: "GET",
    path: "/definitions",
    query: definitionsQuerySchema,
    reply: definitionsReplySchema,
    items: "definitions",
  },
  get: { method: "GET", path: "/definitions/{definitionId}", reply: definitionSchema },
  validate: {
    method: "POST",
    path: "/definitions/validate",
    body: validateDefinitionBodySchema,
    reply: validateDefinitionReplySchema,
  },
  fire: {
    method: "POST",
    path: "/workflow-definitions/{definitionId}/fire-manual",
    body: fireManualBodySchema,
    reply: fireManualReplySchema,
    keyed: true,
  },
} as const satisfies Operations;

export const runs = {
  list: { method: "GET", path: "/workflows/runs", query: runsQuerySchema, reply: runsReplySchema, items: "runs" },
  aggregates: {
    method: "GET",
    path: "/workflows/runs/aggregates",
    query: runAggregatesQuerySchema,
    reply: runAggregatesReplySchema,
  },
  get: { method: "GET", path: "/workflows/runs/{id}", query: runQuerySchema, reply: runDetailSchema },
  attempts: { method: "GET", path: "/workflows/runs/{id}/attempts", reply: runAttemptsReplySchema },
  stepAttempt: { method: "GET", path: "/steps/{stepId}/attempts/{attempt}", reply: stepAttemptDetailSchema },
  cancel: {
    method: "POST",
    path: "/workflows/runs/{id}/cancel",
    body: cancelRunBodySchema,
    optionalBody: true,
    reply: runSchema,
    keyed: true,
  },
  rerun: { method: "POST", path: "/workflows/runs/{id}/rerun", body: rerunBodySchema, reply: runSchema, keyed: true },
} as const satisfies Operations;

export const logs = {
  page: { method: "GET", path: "/steps/{stepId}/attempts/{attempt}/logs", query: logQuerySchema, reply: logPageSchema },
  follow: {
    method: "GET",
    path: "/steps/{stepId}/attempts/{attempt}/logs/stream",
    query: logStreamQuerySchema,
    reply: "log",
  },
  raw: { method: "GET", path: "/steps/{stepId}/attempts/{attempt}/logs/raw", reply: "text" },
} as const satisfies Operations;

export const events = {
  list: {
    method: "GET",
    path: "/workflows/runs/{id}/events",
    query: runEventsQuerySchema,
    reply: runEventsReplySchema,
    items: "events",
  },
  followRun: {
    method: "GET",
    path: "/workflows/runs/{id}/events/stream",
    query: runEventStreamQuerySchema,
    reply: "run-events",
  },
  followWorkspace: {
    method: "GET",
    path: "/workspaces/{workspaceId}/events/stream",
    query: eventStreamQuerySchema,
    reply: "run-events",
  },
} as const satisfies Operations;

export const annotations = {
  list: {
    method: "GET",
    path: "/annotations",
    query: annotationsQuerySchema,
    reply: annotationsReplySchema,
    items: "annotations",
  },
  summary: {
    method: "GET",
    path: "/annotations/summary",
    query: annotationSummaryQuerySchema,
    reply: annotationSummarySchema,
  },
} as const satisfies Operations;

export const artifacts = {
  list: {
    method: "GET",
    path: "/workflows/runs/{id}/artifacts",
    query: artifactsQuerySchema,
    reply: artifactsReplySchema,
    items: "artifacts",
  },
  download: { method: "GET", path: "/artifacts/{artifactId}", reply: "file" },
  remove: { method: "DELETE", path: "/artifacts/{artifactId}", reply: null },
} as const satisfies Operations;

export const caches = {
  list: {
    method: "GET",
    path: "/projects/{projectId}/caches",
    query: cachesQuerySchema,
    reply: cachesReplySchema,
    items: "caches",
  },
  remove: {
    method: "DELETE",
    path: "/projects/{projectId}/caches",
    query: deleteCachesQuerySchema,
    reply: deleteCachesReplySchema,
  },
} as const satisfies Operations;
