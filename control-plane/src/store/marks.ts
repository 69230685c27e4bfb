/** Placeholders for so many parameters, as `in (…)` takes them. */
export function marks(count: number): string {
  return new Array(count).fill("?").join(", ");
}
