import type { DiagnosticCode, DiagnosticLog } from "../diagnostics.ts";
import type { Path } from "../yaml/source-map.ts";

/** The id that the API shows for a key: lower case, every run of other characters one dash. */
export function stableId(key: string): string {
  const id = key
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "");
  return id === "" ? "unnamed" : id;
}

/** Refuses the second and every later of the keys that give one id. */
export function refuseDuplicateIds(
  code: DiagnosticCode,
  named: Iterable<{ id: string; title: string; path: Path; pointAt?: Path }>,
  log: DiagnosticLog,
): void {
  const first = new Map<string, string>();
  for (const { id, title, path, pointAt } of named) {
    const taken = first.get(id);
    if (taken === undefined) first.set(id, title);
    else {
      const message = `${title} and ${taken} both give the id "${id}"; rename one of them`;
      log.add({ code, message, path, pointAt: pointAt ?? path, at: pointAt ? "value" : "key" });
    }
  }
}

/** A key for `refuseDuplicateIds`. */
export function named(key: string, path: string[]): { id: string; title: string; path: string[] } {
  return { id: stableId(key), title: `the key "${key}"`, path };
}
