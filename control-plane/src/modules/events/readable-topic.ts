import { ApiError } from "@shipfox/shared/errors";
import { type Access, requireAbility, requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Tx } from "../../store/store.ts";
import { findRun } from "../runs/public.ts";
import type { Topic } from "./topics.ts";

/** The workspace in which a topic is, when the caller may read it. Throws 404 `not-found` or 403 `forbidden`. */
export async function requireReadable(access: Access, tx: Tx, caller: Caller, topic: Topic): Promise<string> {
  if (topic.kind !== "run") {
    await requireAbility(access, tx, caller, topic.id);
    return topic.id;
  }
  const run = await findRun(tx, topic.id);
  if (!run) throw noSuchRun();
  await requireVisible(access, tx, caller, run.workspace_id, noSuchRun);
  return run.workspace_id;
}

function noSuchRun(): ApiError {
  return new ApiError("not-found", "there is no such run that you may see");
}
