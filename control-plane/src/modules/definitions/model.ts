import { type DefinitionSync as Sync, MAX_WORKFLOW_BYTES, type SyncedFile } from "@shipfox/shared/api/definitions";
import { ApiError, type ErrorCode } from "@shipfox/shared/errors";
import type { DefinitionRow } from "../../store/schema.ts";
import { type Diagnostic, parseWorkflow, type TriggerModel, type WorkflowPlan } from "../workflow/public.ts";

export type SyncErrorCode = NonNullable<Sync["last_error_code"]>;
export type SyncWarning = Sync["warnings"][number];

/** Limits of the published sync object. */
const MAX_WARNINGS = 100;
const MAX_MESSAGE_CHARS = 2_048;
const MAX_PATH_CHARS = 512;
/** More of one file would help nobody; the sync object holds up to 100 files. */
const MAX_FILE_DIAGNOSTICS = 10;

/** What of a definition comes out of its file; JSON as it is stored. */
export type DefinitionContent = Pick<
  DefinitionRow,
  "name" | "yaml" | "document" | "model" | "manual_trigger" | "called_files"
>;

export type ReadResult =
  | {
      readonly ok: true;
      readonly content: DefinitionContent;
      /** Without the manual one. */
      readonly triggers: readonly TriggerModel[];
      readonly warnings: readonly Diagnostic[];
      /** What the file says and this version does not run. */
      readonly notRunnable: readonly Diagnostic[];
      /** The paths of the files that its jobs call, each once. */
      readonly calls: readonly string[];
    }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

/** One file by itself: see `FileLinker` for what it calls. */
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
    called_files: null,
  };
  const calls = [...new Set(model.jobs.flatMap(({ call }) => call?.path ?? []))];
  return { ok: true, content, triggers: model.triggers ?? [], warnings, notRunnable, calls };
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

/** A file of a sync, with what was read of it. */
export interface ReadFile {
  readonly path: string;
  readonly key: string;
  readonly result: ReadResult;
}

export interface GoodFile {
  readonly path: string;
  readonly key: string;
  readonly content: DefinitionContent;
  readonly triggers: readonly TriggerModel[];
}

export type KnownDefinition = Pick<
  DefinitionRow,
  "id" | "config_path" | "upsert_key" | "yaml" | "called_files" | "model" | "deleted_at"
>;

export interface SyncChanges {
  readonly save: readonly GoodFile[];
  /** Ids of definitions whose file is gone. */
  readonly remove: readonly string[];
}

const CONTENT = ["yaml", "called_files", "model"] as const;

/**
 * A file with the same text and meaning is not touched; the meaning may change with the server's version and settings.
 * A definition whose file has a fault stays as it is.
 */
export function decideSync(files: readonly ReadFile[], known: readonly KnownDefinition[]): SyncChanges {
  const good = files.flatMap((file) => goodFile(file) ?? []);
  const byKey = new Map(known.map((definition) => [definition.upsert_key, definition]));
  const keys = new Set<string | null>(good.map((file) => file.key));
  const faulty = new Set<string | null>(files.filter(({ result }) => !result.ok).map((file) => file.path));
  const save = good.filter(({ key, content }) => {
    const former = byKey.get(key);
    return !former || former.deleted_at !== null || CONTENT.some((column) => former[column] !== content[column]);
  });
  const remove = known.filter(
    ({ deleted_at, upsert_key, config_path }) =>
      deleted_at === null && !keys.has(upsert_key) && !faulty.has(config_path),
  );
  return { save, remove: remove.map((definition) => definition.id) };
}

function goodFile({ path, key, result }: ReadFile): GoodFile | null {
  return result.ok ? { path, key, content: result.content, triggers: result.triggers } : null;
}

/** What the project's people see of each file. `definitions` has the ids of the definitions in force, by path. */
export function fileStates(files: readonly ReadFile[], definitions: ReadonlyMap<string | null, string>): SyncedFile[] {
  return files.map(({ path, result }) => ({
    config_path: path,
    status: result.ok ? "active" : "invalid",
    definition_id: definitions.get(path) ?? null,
    diagnostics: (result.ok ? inOrder([...result.warnings, ...result.notRunnable]) : result.diagnostics).slice(
      0,
      MAX_FILE_DIAGNOSTICS,
    ),
  }));
}

function inOrder(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return diagnostics.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

/** At most `MAX_WARNINGS`, with file and line. */
export function warningsOf(files: readonly ReadFile[]): SyncWarning[] {
  const warnings = files.flatMap(({ path, result }) => {
    const found = result.ok ? [...result.warnings, ...result.notRunnable] : [];
    return found.map(({ code, message, line }) => {
      return { code, message: message.slice(0, MAX_MESSAGE_CHARS), path: `${path}:${line}`.slice(-MAX_PATH_CHARS) };
    });
  });
  return warnings.slice(0, MAX_WARNINGS);
}

/** Names each file that has a fault, with its first one; null when none has. */
export function failureOf(files: readonly ReadFile[]): SyncFailure | null {
  const faults = files.flatMap(({ path, result }) => (result.ok ? [] : firstFault(path, result.diagnostics)));
  return faults.length === 0 ? null : new SyncFailure("invalid-definition", faults.join("; "));
}

function firstFault(path: string, [first, ...more]: readonly Diagnostic[]): string {
  const others = more.length === 0 ? "" : ` (and ${more.length} more in this file)`;
  const fault = first === undefined ? "not a valid workflow" : `${first.message} (at ${first.path})`;
  return `${path}:${first?.line ?? 1}:${first?.column ?? 1}: ${fault}${others}`;
}

/** The text of a file, or why it is none. */
export function decode(content: Buffer | null): { text: string } | { fault: ReadResult } {
  if (content === null) {
    return { fault: unreadable("workflow-too-large", `the file has more than ${MAX_WORKFLOW_BYTES} bytes`) };
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    return { fault: unreadable("invalid-workflow-yaml", "the file is not UTF-8 text") };
  }
  if (text.includes("\0")) return { fault: unreadable("invalid-workflow-yaml", "the file holds NUL characters") };
  return { text };
}

/** A fault of the file as a whole. */
export function unreadable(code: Diagnostic["code"], message: string): ReadResult {
  return { ok: false, diagnostics: [{ code, message, path: "(root)", line: 1, column: 1 }] };
}

/** Why a sync failed, as the project's people see it. */
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
