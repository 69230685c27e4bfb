import { plainText } from "./plain-text.ts";
import { reasonWords } from "./status.ts";

/** What ended the listening of a job. */
export function resolutionWords(reason: string): string {
  return `listening ended: ${reasonWords(reason)}`;
}

/** Events as `source event`, each once with how many there were. */
export function eventWords(events: readonly string[]): string {
  return [...Map.groupBy(events, (event) => event)]
    .map(([event, { length }]) => (length === 1 ? plainText(event) : `${plainText(event)} ×${length}`))
    .join(", ");
}
