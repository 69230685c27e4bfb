import { z } from "zod";
import { isRegistryHost, normalizeRegistryHost } from "../image-reference.ts";
import { id, timestamp } from "./values.ts";

const MAX_HOST_CHARS = 255;
const MAX_USERNAME_CHARS = 255;
const MAX_PASSWORD_CHARS = 16_384;
const MAX_PROJECTS = 100;

/** What a registry asks for before it gives out an image. The password is never shown. */
export const registryCredentialSchema = z
  .object({
    id,
    workspace_id: id,
    host: z.string(),
    username: z.string(),
    /** The projects whose jobs may use it; null: all of the workspace. */
    project_ids: z.array(id).nullable(),
    created_at: timestamp,
  })
  .meta({ id: "RegistryCredential" });
export type StoredRegistryCredential = z.infer<typeof registryCredentialSchema>;

export const createRegistryCredentialBodySchema = z.strictObject({
  host: z
    .string()
    .trim()
    .max(MAX_HOST_CHARS)
    .refine(isRegistryHost, "must be a host with an optional port, such as registry.example:5000 or docker.io")
    .transform(normalizeRegistryHost),
  username: z
    .string()
    .min(1)
    .max(MAX_USERNAME_CHARS)
    .regex(/^[^:\p{Cc}]+$/u, "must not hold colons or control characters"),
  password: z.string().min(1).max(MAX_PASSWORD_CHARS),
  project_ids: z.array(id).min(1).max(MAX_PROJECTS).optional(),
});

export const registryCredentialsReplySchema = z.object({ registry_credentials: z.array(registryCredentialSchema) });
