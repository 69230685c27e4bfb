import {
  type ListedVariable,
  MAX_LISTED_VALUE_CHARS,
  type ValueWarning,
  type Variable,
} from "@shipfox/shared/api/scoped-values";
import type { ScopedValueRow } from "../../store/schema.ts";

const SENSITIVE_NAME = /TOKEN|SECRET|PASSWORD|KEY/;

export function presentVariable(row: ScopedValueRow): Variable {
  return {
    key: row.key,
    value: row.value,
    project_id: row.project_id,
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
    last_edited_by: row.last_edited_by,
  };
}

/** As in lists: the first line, cut by whole characters. */
export function presentListed(row: ScopedValueRow): ListedVariable {
  const [line = ""] = row.value.split(/\r?\n/, 1);
  const cut = line.slice(0, MAX_LISTED_VALUE_CHARS);
  const shown = cut.isWellFormed() ? cut : cut.slice(0, -1);
  return { ...presentVariable(row), value: shown, value_truncated: shown !== row.value };
}

/** Variables are readable by every member, so what sounds like a secret probably is in the wrong place. */
export function warningsOf(entries: readonly { key: string }[]): ValueWarning[] {
  return entries
    .filter(({ key }) => SENSITIVE_NAME.test(key))
    .map(({ key }) => ({
      code: "sensitive-variable-name",
      key,
      message: "its name sounds like a secret, but every member can read a variable; use a secret instead",
    }));
}
