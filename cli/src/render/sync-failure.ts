import type { DefinitionSync, SyncedFile } from "@shipfox/shared/api/definitions";
import type { Colors } from "../terminal.ts";
import { plainText } from "./plain-text.ts";

/** The faults of each file, or why no file could be read. */
export function describeSyncFailure(colors: Colors, sync: DefinitionSync): string[] {
  const code = colors.dim(`(${sync.last_error_code ?? "unknown"})`);
  if (sync.last_error_code !== "invalid-definition" || sync.files.length === 0) {
    const message = plainText(sync.last_error_message ?? "the reason is not known");
    return [`${colors.red("✗")} The workflows could not be read: ${message} ${code}`];
  }
  const faulty = sync.files.filter((file) => file.status === "invalid");
  const taken = sync.files.length - faulty.length;
  return [
    `${colors.red("✗")} ${faulty.length} of ${sync.files.length} workflow files have faults; ${taken} were taken over ${code}`,
    ...faulty.flatMap((file) => describeFile(colors, file)),
  ];
}

function describeFile(colors: Colors, { config_path, definition_id, diagnostics }: SyncedFile): string[] {
  const faults = diagnostics.map((fault) => {
    const place = colors.bold(`${plainText(config_path)}:${fault.line}:${fault.column}:`);
    return `  ${place} ${plainText(fault.message)} ${colors.dim(`(${fault.code})`)}`;
  });
  const kept = definition_id === null ? "there is no earlier version of it" : "its last good version stays";
  return [...faults, `    ${colors.dim(kept)}`];
}
