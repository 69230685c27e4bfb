import type { Definition, DefinitionSync } from "@shipfox/shared/api/definitions";
import type { DefinitionRow, DefinitionSyncRow } from "../../store/schema.ts";

export function presentDefinition(row: DefinitionRow): Definition {
  return {
    id: row.id,
    project_id: row.project_id,
    config_path: row.config_path,
    source: row.source as Definition["source"],
    sha: row.sha,
    ref: row.ref,
    name: row.name,
    workflow_document: JSON.parse(row.document) as Definition["workflow_document"],
    workflow_model: JSON.parse(row.model) as Definition["workflow_model"],
    manual_trigger: row.manual_trigger === null ? null : (JSON.parse(row.manual_trigger) as { name: string }),
    fetched_at: timeOf(row.fetched_at),
    created_at: timeOf(row.created_at),
    updated_at: timeOf(row.updated_at),
  };
}

export function presentSync(row: DefinitionSyncRow): DefinitionSync {
  return {
    ref: row.ref,
    status: row.status as DefinitionSync["status"],
    last_sync_at: nullableTimeOf(row.last_sync_at),
    started_at: nullableTimeOf(row.started_at),
    finished_at: nullableTimeOf(row.finished_at),
    last_error_code: row.last_error_code as DefinitionSync["last_error_code"],
    last_error_message: row.last_error_message,
    warnings: JSON.parse(row.warnings) as DefinitionSync["warnings"],
    files: JSON.parse(row.files) as DefinitionSync["files"],
  };
}

function timeOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function nullableTimeOf(milliseconds: number | null): string | null {
  return milliseconds === null ? null : timeOf(milliseconds);
}
