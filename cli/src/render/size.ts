const UNITS = ["KiB", "MiB", "GiB", "TiB"];
const STEP = 1_024;

/** `512 B`, `1.5 KiB`, `2.0 GiB`. */
export function bytes(count: number): string {
  if (count < STEP) return `${count} B`;
  const power = Math.min(UNITS.length, Math.floor(Math.log2(count) / Math.log2(STEP)));
  return `${(count / STEP ** power).toFixed(1)} ${UNITS[power - 1]}`;
}
