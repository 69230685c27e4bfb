import type { DefinitionSync as Sync } from "@shipfox/shared/api/definitions";
import { ApiError, type ErrorCode } from "@shipfox/shared/errors";
import type { DefinitionRow } from "../../store/schema.ts";
import { type Diagnostic, parseWorkflow, type TriggerModel, type WorkflowPlan } from "../workflow/public.ts";

export type SyncErrorCode = NonNullable<Sync["last_error_code"]>;
export type SyncWarning = Sync["warnings"][number];

/** Limits of the published sync object. */
export const MAX_WARNINGS = 100;
const MAX_MESSAGE_CHARS = 2_048;
const MAX_PATH_CHARS = 512;

/** What of a definition comes out of its file; JSON as it is stored. */
export type DefinitionContent = Pick<DefinitionRow, "name" | "yaml" | "document" | "model" | "manual_trigger">;

export type ReadResult =
  | {
      readonly ok: true;
      readonly content: DefinitionContent;
      /** Without the manual one. */
      readonly triggers: readonly TriggerModel[];
      readonly warnings: readonly Diagnostic[];
      /** What the file says and this version does not run. */
      readonly notRunnable: readonly Diagnostic[];
    }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

export function readDefinition(yaml: string, defaultRunnerLabels: readonly string[]): ReadResult {
  const result = parseWorkflow(yaml, { defaultRunnerLabels: [...defaultRunnerLabels] });
  if (!result.ok) return result;
  const { document, model, warnings, notRunnable } = result;
  const content = {
    name: model.name,
    yaml,
    document: JSON.stringify(document),
    model: JSON.stringify(model),
    manual_trigger: manualTrigger(model),
  };
  return { ok: true, content, triggers: model.triggers ?? [], warnings, notRunnable };
}

function manualTrigger(model: WorkflowPlan): string | null {
  return model.manualTrigger === null ? null : JSON.stringify({ name: model.manualTrigger.name });
}

/** Where a definition came from; what two saves must share to be one definition. */
export interface DefinitionOrigin {
  readonly projectId: string;
  readonly configPath: string | null;
  readonly sha: string | null;
  readonly ref: string | null;
}

/** Null is a definition of its own each time. Source: the published API. A sync uses the key of its branch. */
export function upsertKey({ projectId, configPath, sha, ref }: DefinitionOrigin): string | null {
  if (configPath === null) return null;
  if (sha !== null) return JSON.stringify([projectId, "sha", sha, configPath]);
  if (ref !== null) return JSON.stringify([projectId, "ref", ref, configPath]);
  return JSON.stringify([projectId, "manual", configPath]);
}

export interface SyncedFile {
  readonly path: string;
  readonly key: string;
  readonly content: DefinitionContent;
  readonly triggers: readonly TriggerModel[];
}

export type KnownDefinition = Pick<DefinitionRow, "id" | "upsert_key" | "yaml" | "model" | "deleted_at">;

export interface SyncChanges {
  readonly save: readonly SyncedFile[];
  /** Ids of definitions whose file is gone. */
  readonly remove: readonly string[];
}

/** A file with the same text and meaning is not touched; the meaning may change with the server's version and settings. */
export function decideSync(files: readonly SyncedFile[], known: readonly KnownDefinition[]): SyncChanges {
  const byKey = new Map(known.map((definition) => [definition.upsert_key, definition]));
  const keys = new Set<string | null>(files.map((file) => file.key));
  const save = files.filter(({ key, content }) => {
    const former = byKey.get(key);
    return !former || former.deleted_at !== null || former.yaml !== content.yaml || former.model !== content.model;
  });
  const remove = known.filter((definition) => definition.deleted_at === null && !keys.has(definition.upsert_key));
  return { save, remove: remove.map((definition) => definition.id) };
}

/** A sync that ended without effect, as the project's people see it. */
export class SyncFailure extends Error {
  override readonly name = "SyncFailure";
  readonly code: SyncErrorCode;

  constructor(code: SyncErrorCode, message: string) {
    super(message.slice(0, MAX_MESSAGE_CHARS));
    this.code = code;
  }
}

const SYNC_CODES: Partial<Record<ErrorCode, SyncErrorCode>> = {
  "repository-not-found": "provider-repository-not-found",
  "access-denied": "provider-access-denied",
  "rate-limited": "provider-rate-limited",
  timeout: "provider-timeout",
  "provider-unavailable": "provider-unavailable",
  "content-too-large": "content-too-large",
  "too-many-files": "too-many-files",
  "malformed-provider-response": "provider-malformed-response",
  "provider-rejected": "provider-access-denied",
  "installation-not-found": "connection-unavailable",
  "integration-provider-unavailable": "connection-unavailable",
  "source-connection-inactive": "connection-unavailable",
  "source-connection-not-found": "connection-unavailable",
  "integration-capability-unavailable": "connection-unavailable",
  "invalid-repository-url": "connection-unavailable",
};

/** Null for what is no fault of the project; its details belong into the log only. */
export function asSyncFailure(error: unknown): SyncFailure | null {
  if (error instanceof SyncFailure) return error;
  const code = error instanceof ApiError ? SYNC_CODES[error.code] : undefined;
  return code === undefined ? null : new SyncFailure(code, (error as ApiError).message);
}

/** Throws `SyncFailure` with the first fault of the file. */
export function acceptFile(
  path: string,
  result: ReadResult,
): Pick<SyncedFile, "content" | "triggers"> & { warnings: SyncWarning[] } {
  if (!result.ok) throw invalid(path, result.diagnostics);
  const warnings = [...result.warnings, ...result.notRunnable].map(({ code, message, line }) => {
    return { code, message: message.slice(0, MAX_MESSAGE_CHARS), path: `${path}:${line}`.slice(-MAX_PATH_CHARS) };
  });
  return { content: result.content, triggers: result.triggers, warnings };
}

/** The text of a file. Throws `SyncFailure` when it is not UTF-8. */
export function decode(path: string, content: Buffer): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    throw new SyncFailure("invalid-definition", `${path}: the file is not UTF-8 text`);
  }
  if (text.includes("\0")) throw new SyncFailure("invalid-definition", `${path}: the file holds NUL characters`);
  return text;
}

function invalid(path: string, [first, ...more]: readonly Diagnostic[]): SyncFailure {
  const others = more.length === 0 ? "" : ` (and ${more.length} more in this file)`;
  const fault = first === undefined ? "not a valid workflow" : `${first.message} (at ${first.path})`;
  return new SyncFailure("invalid-definition", `${path}:${first?.line ?? 1}:${first?.column ?? 1}: ${fault}${others}`);
}
