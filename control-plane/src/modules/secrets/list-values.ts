import type { scopedValuesQuerySchema } from "@shipfox/shared/api/scoped-values";
import type { z } from "zod";
import type { Caller } from "../../http/caller.ts";
import { decodeCursor, pageOf } from "../../http/cursor.ts";
import type { ScopedValueRow } from "../../store/schema.ts";
import type { ScopedValues } from "./scoped-values.ts";
import { requireScope, type ScopedValuesDeps } from "./write-values.ts";

/** A page of one scope, in order of the keys. Throws what `requireScope` throws and 400 `invalid-cursor`. */
export async function listValues(
  deps: ScopedValuesDeps,
  values: ScopedValues,
  request: { caller: Caller; workspaceId: string; query: z.output<typeof scopedValuesQuerySchema> },
): Promise<{ page: ScopedValueRow[]; nextCursor: string | null }> {
  const { caller, workspaceId, query } = request;
  const scope = { workspaceId, projectId: query.project_id ?? null };
  const [after] = query.cursor === undefined ? [""] : decodeCursor(query.cursor, ["string"]);
  const rows = await deps.store.read(async (tx) => {
    await requireScope(deps, tx, caller, scope);
    return values.list(tx, scope, after, query.limit + 1);
  });
  return pageOf(rows, query.limit, (row) => [row.key]);
}
