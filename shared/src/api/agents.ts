import { z } from "zod";
import { timestamp } from "./values.ts";

/** How a provider is spoken to. */
export const agentApiSchema = z.enum([
  "openai-completions",
  "openai-responses",
  "anthropic-messages",
  "google-generative-ai",
]);
export type AgentApi = z.infer<typeof agentApiSchema>;

const MAX_MODEL_ID_CHARS = 128;
const MAX_MODEL_LABEL_CHARS = 160;
export const MAX_MODELS = 128;
const MAX_HEADERS = 32;
const MAX_HEADER_NAME_CHARS = 128;
const MAX_SECRET_CHARS = 8_192;
const MAX_URL_CHARS = 2_048;
const MAX_DISPLAY_NAME_CHARS = 120;
const DEFAULT_CONTEXT_WINDOW = 128_000;
const DEFAULT_MAX_OUTPUT_TOKENS = 16_384;
const MAX_CREDENTIAL_KEYS = 16;

/** The id of a built-in provider, or the slug of a custom one. */
export const providerReference = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{1,38}[a-z0-9]$/, "must be 3 to 40 lower-case letters, digits and dashes");
const modelId = z.string().min(1).max(MAX_MODEL_ID_CHARS);
const modelNameSchema = z.object({ id: modelId, label: z.string() });

export const catalogProviderSchema = z
  .object({
    id: z.string(),
    label: z.string(),
    support_status: z.enum(["supported", "unsupported"]),
    default_model: z.string().nullable(),
    credential_fields: z.array(z.object({ key: z.string(), label: z.string(), secret: z.boolean() })),
    unsupported_reason: z.string().nullable(),
    models: z.array(modelNameSchema),
  })
  .meta({ id: "CatalogProvider" });
export const providerCatalogReplySchema = z.object({
  providers: z.array(catalogProviderSchema),
  workspace_providers: z.enum(["enabled", "disabled"]),
});

const harnessSchema = z.enum(["pi", "claude"]);
const fingerprints = z
  .record(z.string(), z.string())
  .meta({ description: "The last four characters of each credential that is long enough; never the credential" });

const builtinConfigSchema = z
  .object({
    kind: z.literal("builtin"),
    provider_id: z.string(),
    default_model: z.string().nullable(),
    key_fingerprints: fingerprints,
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "BuiltinAgentProvider" });

const modelSchema = z.object({
  id: modelId,
  label: z.string().min(1).max(MAX_MODEL_LABEL_CHARS),
  context_window: z.int().positive().default(DEFAULT_CONTEXT_WINDOW),
  max_output_tokens: z.int().positive().default(DEFAULT_MAX_OUTPUT_TOKENS),
  input_image: z.boolean().default(false),
  reasoning: z.boolean().default(false),
});
export type CustomModel = z.output<typeof modelSchema>;

export const customConfigSchema = z
  .object({
    kind: z.literal("custom"),
    provider_id: z.string(),
    display_name: z.string(),
    api: agentApiSchema,
    base_url: z.string(),
    headers: z.array(z.object({ name: z.string(), value: z.string() })),
    secret_header_names: z.array(z.string()),
    models: z.array(modelSchema),
    default_model: z.string().nullable(),
    key_fingerprints: fingerprints,
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "CustomAgentProvider" });

export const agentConfigSchema = z.discriminatedUnion("kind", [builtinConfigSchema, customConfigSchema]);
export const agentConfigsReplySchema = z.object({
  configs: z.array(agentConfigSchema),
  default_provider_id: z.string().nullable(),
  default_harness_id: harnessSchema.nullable(),
});

const credentials = z
  .record(z.string().max(MAX_HEADER_NAME_CHARS), z.string().min(1))
  .refine((given) => Object.keys(given).length >= 1, "at least one credential is required")
  .refine((given) => Object.keys(given).length <= MAX_CREDENTIAL_KEYS, `at most ${MAX_CREDENTIAL_KEYS} credentials`);
export const configureProviderBodySchema = z.object({
  credentials,
  default_model: modelId.nullable().optional(),
  set_as_default: z.boolean().optional(),
});
export const configureNamedProviderBodySchema = configureProviderBodySchema.extend({ provider_id: providerReference });
export const defaultModelBodySchema = z.object({ default_model: modelId.nullable() });
export const makeDefaultProviderBodySchema = z.object({});
export const defaultProviderBodySchema = z.object({ provider_id: providerReference.nullable() });
export const defaultProviderReplySchema = z.object({ default_provider_id: z.string().nullable() });
export const defaultHarnessBodySchema = z.object({ harness_id: harnessSchema.nullable() });
export const defaultHarnessReplySchema = z.object({ default_harness_id: harnessSchema.nullable() });

/** Headers that say how a message is carried; who chooses them chooses what the server reads of it. */
const CONNECTION_HEADERS = new Set([
  "host",
  "connection",
  "content-length",
  "content-type",
  "expect",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
const headerName = z
  .string()
  .min(1)
  .max(MAX_HEADER_NAME_CHARS)
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "must be the name of an HTTP header")
  .transform((name) => name.toLowerCase())
  .refine((name) => !CONNECTION_HEADERS.has(name), "belongs to the connection and cannot be chosen");
const headerValue = z
  .string()
  .min(1)
  .max(MAX_SECRET_CHARS)
  .regex(/^[\t\x20-\x7e\x80-\xff]+$/, "must be one line of an HTTP header");
const givenHeader = z.object({ name: headerName, value: headerValue, secret: z.boolean().default(false) });
const keptHeader = z.object({ name: headerName, secret: z.literal(true), keep: z.literal(true) });
const apiKey = z
  .string()
  .min(1)
  .max(MAX_SECRET_CHARS)
  .regex(/^[\x21-\x7e]+$/, "must be printable ASCII without blanks");
const baseUrl = z.url().max(MAX_URL_CHARS);
const models = z
  .array(modelSchema)
  .min(1)
  .max(MAX_MODELS)
  .refine(
    areUnique((model: { id: string }) => model.id),
    "the ids of the models must differ",
  );
const headers = z
  .array(givenHeader)
  .max(MAX_HEADERS)
  .refine(
    areUnique((header: { name: string }) => header.name),
    "the names of the headers must differ",
  );
const changedHeaders = z
  .array(z.union([keptHeader, givenHeader]))
  .max(MAX_HEADERS)
  .refine(
    areUnique((header: { name: string }) => header.name),
    "the names of the headers must differ",
  );

export const createCustomProviderBodySchema = z.object({
  slug: providerReference,
  display_name: z.string().trim().min(1).max(MAX_DISPLAY_NAME_CHARS),
  api: agentApiSchema,
  base_url: baseUrl,
  api_key: apiKey.optional(),
  models,
  default_model: modelId.nullable().optional(),
  headers: headers.optional(),
});
export const updateCustomProviderBodySchema = z.object({
  display_name: z.string().trim().min(1).max(MAX_DISPLAY_NAME_CHARS).optional(),
  api: agentApiSchema.optional(),
  base_url: baseUrl.optional(),
  api_key: apiKey.nullable().optional(),
  models: models.optional(),
  default_model: modelId.nullable().optional(),
  headers: changedHeaders.optional(),
});
const endpointFields = {
  api: agentApiSchema,
  base_url: baseUrl,
  api_key: apiKey.optional(),
  headers: z
    .array(z.object({ name: headerName, value: headerValue }))
    .max(MAX_HEADERS)
    .optional(),
};
export const discoverModelsBodySchema = z.object(endpointFields);
export const rediscoverModelsBodySchema = z.object(endpointFields).partial();
export const modelsReplySchema = z.object({ models: z.array(modelNameSchema).max(MAX_MODELS) });

/** One of: a configured provider; a built-in one with credentials that are not saved; any endpoint. */
export const testAgentBodySchema = z.union([
  z.strictObject({
    provider_id: providerReference,
    credentials: credentials.optional(),
    model: modelId.optional(),
  }),
  z.strictObject({ ...endpointFields, model: modelId.optional() }),
]);
export const testAgentReplySchema = z
  .object({
    ok: z.boolean(),
    model: z.string().nullable().meta({ description: "The model that was asked; null when only the list was" }),
    models: z.array(modelNameSchema).optional().meta({ description: "What the provider says it has; when ok" }),
    error: z
      .object({
        code: z.enum([
          "address_refused",
          "name_unresolved",
          "connection_failed",
          "tls_failed",
          "timeout",
          "credentials_refused",
          "model_unknown",
          "rate_limited",
          "provider_error",
          "malformed_answer",
        ]),
        message: z.string(),
      })
      .optional()
      .meta({ description: "Why the provider cannot be used; when not ok" }),
    duration_ms: z.int(),
  })
  .meta({ id: "AgentTest" });

export type CatalogProvider = z.infer<typeof catalogProviderSchema>;
export type AgentConfig = z.infer<typeof agentConfigSchema>;
export type HarnessId = z.infer<typeof harnessSchema>;
export type AgentTest = z.infer<typeof testAgentReplySchema>;

function areUnique<Item>(keyOf: (item: Item) => string): (items: readonly Item[]) => boolean {
  return (items) => new Set(items.map(keyOf)).size === items.length;
}
