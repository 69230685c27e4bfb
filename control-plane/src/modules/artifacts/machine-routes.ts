import { id } from "@shipfox/shared/api/values";
import {
  appendPartQuerySchema,
  appendPartReplySchema,
  beginArtifactBodySchema,
  beginCacheBodySchema,
  beginUploadReplySchema,
  findCacheQuerySchema,
  findCacheReplySchema,
  heldArtifactSchema,
  heldCacheSchema,
  MAX_FILE_PART_BYTES,
  neededArtifactQuerySchema,
  uploadParamsSchema,
} from "@shipfox/shared/machine-files";
import { z } from "zod";
import { type Route, route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import type { BlobRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import { type Begun, beginArtifact, beginCache } from "./begin-upload.ts";
import { blobReply } from "./blob-reply.ts";
import type { BlobStore } from "./blob-store.ts";
import { type CompleteDeps, completeUpload, requireUpload } from "./complete-upload.ts";
import { findCache, heldArtifact, heldCache, neededArtifact } from "./find-file.ts";
import type { FileSettings } from "./model.ts";

export interface MachineFileDeps extends CompleteDeps {
  readonly clock: Clock;
  readonly blobs: BlobStore;
  readonly settings: FileSettings;
}

const TAG = "Machine: jobs";
const SECOND_MS = 1_000;
const ARTIFACTS = "/runs/jobs/current/artifacts";
const CACHES = "/runs/jobs/current/caches";

/** How the runner of a job stores and fetches files; see `shared/src/machine-files.ts`. */
export function createMachineFileRoutes(deps: MachineFileDeps): Route[] {
  const { store, clock, uploads, blobs, settings } = deps;

  const begin = async (unit: (tx: WriteTx, now: number) => Promise<Begun>) => {
    const now = clock.now();
    const { upload, hasDropped } = await store.write((tx) => unit(tx, now));
    if (hasDropped) deps.armDue(now);
    const offset = await uploads.committed(upload);
    return { status: 201, body: { upload_id: upload.id, offset, max_part_bytes: MAX_FILE_PART_BYTES } };
  };

  /** The parts of an upload. Not hot: the whole part is read before anything else is done. */
  const partRoute = (kind: BlobRow["kind"], path: string) =>
    route({
      method: "PUT",
      path: `${path}/{uploadId}`,
      tag: TAG,
      summary: `Send a part of ${kind === "artifact" ? "an artifact" : "a cache"}, which begins at a byte offset of it`,
      credential: "lease",
      params: uploadParamsSchema,
      query: appendPartQuerySchema,
      raw: "application/octet-stream",
      bodyLimitBytes: MAX_FILE_PART_BYTES,
      responses: { 200: appendPartReplySchema },
      errors: ["lease-not-active", "upload-not-found", "offset-gap", "upload-mismatch", "body-too-large", "overloaded"],
      handle: async ({ principal, params, query, rawBody }) => {
        const upload = await store.read((tx) => requireUpload(tx, principal, kind, params.uploadId));
        const committed = upload.state === "whole" ? upload.size : await uploads.append(upload, query.offset, rawBody);
        return { status: 200, body: { committed_length: committed } };
      },
    });

  return [
    route({
      method: "POST",
      path: ARTIFACTS,
      tag: TAG,
      summary: "Begin the upload of an artifact; the same call again goes on with it",
      credential: "lease",
      body: beginArtifactBodySchema,
      responses: { 201: beginUploadReplySchema },
      errors: ["lease-not-active", "artifact-exists", "file-too-large", "storage-quota-exceeded"],
      handle: ({ principal, body: { expires_in, ...file } }) => {
        const keptMs = expires_in === undefined ? null : expires_in * SECOND_MS;
        return begin((tx, now) => beginArtifact(tx, settings, principal, { ...file, keptMs }, now));
      },
    }),
    partRoute("artifact", ARTIFACTS),
    route({
      method: "POST",
      path: `${ARTIFACTS}/{uploadId}/complete`,
      tag: TAG,
      summary: "Check size and digest of an uploaded artifact and show it to others",
      credential: "lease",
      params: uploadParamsSchema,
      responses: { 200: heldArtifactSchema },
      errors: ["lease-not-active", "upload-not-found", "offset-gap", "upload-mismatch"],
      handle: async ({ principal, params }) => {
        const blob = await completeUpload(deps, principal, "artifact", { ...params, now: clock.now() });
        return { status: 200, body: presentHeld(blob) };
      },
    }),
    route({
      method: "GET",
      path: ARTIFACTS,
      tag: TAG,
      summary: "The artifact that a job which this one needs left under a name",
      credential: "lease",
      query: neededArtifactQuerySchema,
      responses: { 200: heldArtifactSchema },
      errors: ["lease-not-active", "artifact-not-found"],
      handle: async ({ principal, query }) => {
        const blob = await store.read((tx) => neededArtifact(tx, principal, query));
        return { status: 200, body: presentHeld(blob) };
      },
    }),
    route({
      method: "GET",
      path: `${ARTIFACTS}/{artifactId}/content`,
      tag: TAG,
      summary: "The bytes of an artifact of the job's run, or some of them",
      credential: "lease",
      params: z.object({ artifactId: id }),
      responses: { 200: "file", 206: "file" },
      errors: ["lease-not-active", "artifact-not-found", "range-not-satisfiable"],
      handle: async ({ principal, params, request }) =>
        blobReply(blobs, await store.read((tx) => heldArtifact(tx, principal, params.artifactId)), request),
    }),
    route({
      method: "POST",
      path: CACHES,
      tag: TAG,
      summary: "Begin the upload of a cache for the ref of the run; the same call again goes on with it",
      credential: "lease",
      body: beginCacheBodySchema,
      responses: { 201: beginUploadReplySchema },
      errors: ["lease-not-active", "cache-read-only", "cache-exists", "file-too-large", "storage-quota-exceeded"],
      handle: ({ principal, body: { key, ...file } }) =>
        begin((tx, now) => beginCache(tx, settings, principal, { name: key, ...file }, now)),
    }),
    partRoute("cache", CACHES),
    route({
      method: "POST",
      path: `${CACHES}/{uploadId}/complete`,
      tag: TAG,
      summary: "Check size and digest of an uploaded cache and let other jobs find it",
      credential: "lease",
      params: uploadParamsSchema,
      responses: { 200: heldCacheSchema },
      errors: ["lease-not-active", "upload-not-found", "offset-gap", "upload-mismatch", "cache-exists"],
      handle: async ({ principal, params }) => {
        const blob = await completeUpload(deps, principal, "cache", { ...params, now: clock.now() });
        const { name, ...held } = presentHeld(blob);
        return { status: 200, body: { ...held, key: name, exact: true } };
      },
    }),
    route({
      method: "GET",
      path: CACHES,
      tag: TAG,
      summary: "The cache with a key, else the newest whose key begins with one of the restore keys",
      credential: "lease",
      query: findCacheQuerySchema,
      responses: { 200: findCacheReplySchema },
      errors: ["lease-not-active"],
      handle: async ({ principal, query: { key, restore_keys: restoreKeys } }) => {
        const now = clock.now();
        const cache = await store.write((tx) => findCache(tx, principal, { key, restoreKeys }, now));
        return { status: 200, body: { cache } };
      },
    }),
    route({
      method: "GET",
      path: `${CACHES}/{cacheId}/content`,
      tag: TAG,
      summary: "The bytes of a cache, or some of them",
      credential: "lease",
      params: z.object({ cacheId: id }),
      responses: { 200: "file", 206: "file" },
      errors: ["lease-not-active", "cache-not-found", "range-not-satisfiable"],
      handle: async ({ principal, params, request }) =>
        blobReply(blobs, await store.read((tx) => heldCache(tx, principal, params.cacheId)), request),
    }),
  ];
}

function presentHeld({ id: blobId, name, size, sha256 }: BlobRow) {
  return { id: blobId, name, size, sha256 };
}
