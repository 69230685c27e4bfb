import { z } from "zod";
import { id } from "./api/values.ts";

/**
 * ours: how runners store and fetch artifacts and caches. An upload is begun with its size and digest, sent in parts at byte
 * offsets as a log is, and completed; until then nobody else sees it.
 */

/** The most bytes that one part of an upload, or one answer with content, carries. */
export const MAX_FILE_PART_BYTES = 8 * 1024 * 1024;
export const MAX_ARTIFACT_NAME_CHARS = 255;
export const MAX_CACHE_KEY_CHARS = 512;
export const MAX_RESTORE_KEYS = 10;
const DAY_SECONDS = 86_400;
const MAX_RETENTION_DAYS = 36_500;

/** Also a file name on every system. */
export const ARTIFACT_NAME = /^[A-Za-z0-9_-][A-Za-z0-9 ._+@=()-]*$/;
export const ARTIFACT_NAME_RULE = "letters, digits, spaces and ._+@=()-, not beginning with a dot or a space";
/** Printable ASCII, as the keys are compared by their bytes. */
export const CACHE_KEY = /^[!-+.-~-]+$/;
export const CACHE_KEY_RULE = "printable ASCII characters without spaces and commas";

export const artifactName = z
  .string()
  .min(1)
  .max(MAX_ARTIFACT_NAME_CHARS)
  .regex(ARTIFACT_NAME, `expected ${ARTIFACT_NAME_RULE}`);
export const cacheKey = z.string().min(1).max(MAX_CACHE_KEY_CHARS).regex(CACHE_KEY, `expected ${CACHE_KEY_RULE}`);

const size = z.int().min(1).meta({ description: "Bytes of the whole file" });
const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "expected 64 lower-case hex digits")
  .meta({ description: "SHA-256 of the whole file, hex" });

export const beginArtifactBodySchema = z.strictObject({
  name: artifactName,
  size,
  sha256,
  expires_in: z
    .int()
    .min(1)
    .max(MAX_RETENTION_DAYS * DAY_SECONDS)
    .optional()
    .meta({ description: "Seconds until it is deleted; absent: the server's setting" }),
});
export const beginCacheBodySchema = z.strictObject({ key: cacheKey, size, sha256 });
/** `offset`: where to go on; above 0 when the job had begun this upload before. */
export const beginUploadReplySchema = z.object({ upload_id: id, offset: z.int().min(0), max_part_bytes: z.int() });

export const uploadParamsSchema = z.object({ uploadId: id });
export const appendPartQuerySchema = z.object({
  offset: z.coerce.number().int().min(0).meta({ description: "Where in the file the part begins" }),
});
export const appendPartReplySchema = z.object({
  committed_length: z.int().min(0).meta({ description: "Bytes of the file that are on the server's disk" }),
});

const storedFile = { id, size, sha256 };
export const heldArtifactSchema = z.object({ ...storedFile, name: z.string() });
export const heldCacheSchema = z.object({
  ...storedFile,
  key: z.string(),
  exact: z.boolean().meta({ description: "False: found by a restore key" }),
});
export type HeldCache = z.infer<typeof heldCacheSchema>;

export const neededArtifactQuerySchema = z.object({
  job: z.string().min(1).max(MAX_ARTIFACT_NAME_CHARS).meta({ description: "Key of a job that this one needs" }),
  name: artifactName.meta({ description: "Of the artifact" }),
});
const restoreKeys = z.array(cacheKey).max(MAX_RESTORE_KEYS);
export const findCacheQuerySchema = z.object({
  key: cacheKey,
  restore_keys: z
    .preprocess((value) => (typeof value === "string" ? [value] : value), restoreKeys)
    .default([])
    .meta({ description: "Beginnings of keys, tried in this order; repeat the parameter for several" }),
});
/** Null: there is none. */
export const findCacheReplySchema = z.object({ cache: heldCacheSchema.nullable() });
