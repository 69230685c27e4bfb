/**
 * A pattern for `like ? escape '!'` that finds texts with `search` in them, in columns that hold lower case. ASCII letters
 * match in both cases, on both databases.
 */
export function containing(search: string): string {
  const lower = search.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
  return `%${lower.replaceAll(/[!%_]/g, "!$&")}%`;
}
