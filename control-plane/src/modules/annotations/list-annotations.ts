import type { Annotation, annotationsReplySchema } from "@shipfox/shared/api/annotations";
import type { z } from "zod";
import { decodeCursor, encodeCursor } from "../../http/cursor.ts";
import type { Tx } from "../../store/store.ts";
import { type AnnotationPlace, type AnnotationScope, findAnnotation, findPlaces } from "./store.ts";

/** Bodies of one page together; a page has at least one annotation. */
const MAX_PAGE_BYTES = 4 * 1024 * 1024;
const FROM_THE_START = [0, ""] as const;

/** One page in the order in which the annotations of each execution were made. Throws 400 `invalid-cursor`. */
export async function listAnnotations(
  tx: Tx,
  scope: AnnotationScope,
  page: { cursor: string | undefined; limit: number },
): Promise<z.output<typeof annotationsReplySchema>> {
  const after = page.cursor === undefined ? FROM_THE_START : decodeCursor(page.cursor, ["number", "string"]);
  const found = await findPlaces(tx, scope, after, page.limit + 1);
  const places = fitting(found.slice(0, page.limit));
  const annotations: Annotation[] = [];
  for (const { id } of places) {
    const annotation = await findAnnotation(tx, id);
    if (annotation) annotations.push(annotation);
  }
  const last = places.at(-1);
  const hasMore = last !== undefined && found.length > places.length;
  return { annotations, has_more: hasMore, next_cursor: hasMore ? encodeCursor([last.sequence, last.id]) : null };
}

function fitting(places: readonly AnnotationPlace[]): AnnotationPlace[] {
  let bytes = 0;
  const end = places.findIndex((place) => {
    bytes += place.body_bytes;
    return bytes > MAX_PAGE_BYTES;
  });
  return end === -1 ? [...places] : places.slice(0, Math.max(1, end));
}
