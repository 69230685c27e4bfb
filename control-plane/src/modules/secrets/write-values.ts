import { isKey, KEY_PATTERN, MAX_KEY_CHARS, MAX_VALUE_BYTES } from "@shipfox/shared/api/scoped-values";
import { ApiError } from "@shipfox/shared/errors";
import { type Access, requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import type { ScopedValueRow } from "../../store/schema.ts";
import type { Store, Tx, WriteTx } from "../../store/store.ts";
import { lockAndCount, type Scope, type ScopedValues } from "./scoped-values.ts";

export interface ScopedValuesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  /** The projects module lies above; null when there is no such project. */
  readonly projects: { workspaceOf(tx: Tx, projectId: string): Promise<string | null> };
  /** Secrets and variables that a workspace may have together. */
  readonly maxPerWorkspace: number;
}

export interface ValueEntry {
  readonly key: string;
  readonly value: string;
}

/** Throws 403 `forbidden`, and 404 `project-not-found` for a project of another workspace. */
export async function requireScope(
  { access, projects }: ScopedValuesDeps,
  tx: Tx,
  caller: Caller,
  scope: Scope,
): Promise<void> {
  await requireAbility(access, tx, caller, scope.workspaceId);
  if (scope.projectId === null || (await projects.workspaceOf(tx, scope.projectId)) === scope.workspaceId) return;
  throw new ApiError("project-not-found", "the workspace has no such project");
}

/**
 * What can be refused without the database: 400 `invalid-key` and `duplicate-key`, 413 `value-too-large`. No message
 * holds a value.
 */
export function checkEntries(entries: readonly ValueEntry[]): void {
  const keys = new Set<string>();
  for (const { key, value } of entries) {
    requireKey(key);
    if (keys.has(key)) {
      throw new ApiError("duplicate-key", `the batch names ${key} twice; send each key once`, { details: { key } });
    }
    keys.add(key);
    if (Buffer.byteLength(value) > MAX_VALUE_BYTES) {
      const message = `the value of ${key} has more than ${MAX_VALUE_BYTES} bytes`;
      throw new ApiError("value-too-large", message, { details: { max_bytes: MAX_VALUE_BYTES } });
    }
  }
}

export function requireKey(key: string): void {
  if (isKey(key)) return;
  const shown = key.slice(0, MAX_KEY_CHARS);
  const message = `${JSON.stringify(shown)} is not a key: it must match ${KEY_PATTERN.source} and have at most ${MAX_KEY_CHARS} characters`;
  throw new ApiError("invalid-key", message, { details: { key: shown } });
}

/** Stores all entries or none. Throws what `requireScope` throws and 409 `workspace-secret-cap-exceeded`. */
export async function setValues(
  deps: ScopedValuesDeps,
  values: ScopedValues,
  request: { caller: Caller; scope: Scope; entries: readonly ValueEntry[] },
): Promise<ScopedValueRow[]> {
  const { store, clock, maxPerWorkspace: cap } = deps;
  const { caller, scope, entries } = request;
  const by = { userId: caller.userId, now: clock.now() };
  return store.write(async (tx) => {
    await requireScope(deps, tx, caller, scope);
    const before = await lockAndCount(tx, store.sql.forUpdate, scope.workspaceId);
    let added = 0;
    for (const { key } of entries) added += (await values.find(tx, scope, key)) ? 0 : 1;
    if (added > 0 && before + added > cap) {
      const message = `the workspace would have ${before + added} secrets and variables; at most ${cap} are allowed`;
      throw new ApiError("workspace-secret-cap-exceeded", message, { details: { cap } });
    }
    const rows: ScopedValueRow[] = [];
    for (const entry of entries) rows.push(await values.set(tx, scope, entry, by));
    const keys = entries.map(({ key }) => key);
    await auditValues(tx, caller, values, scope, "set", keys);
    return rows;
  });
}

/** One entry of the audit log for each key, none of which holds a value. */
export async function auditValues(
  tx: WriteTx,
  caller: Caller,
  values: ScopedValues,
  { workspaceId, projectId }: Scope,
  change: "set" | "deleted",
  keys: readonly string[],
): Promise<void> {
  for (const key of keys) {
    await tx.audit(caller, {
      workspaceId,
      action: `${values.kind}.${change}`,
      target: { type: values.kind, id: null, name: key },
      ...(projectId === null ? {} : { details: { project_id: projectId } }),
    });
  }
}
