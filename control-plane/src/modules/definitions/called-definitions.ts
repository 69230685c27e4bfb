import { ApiError } from "@shipfox/shared/errors";
import type { Store } from "../../store/store.ts";
import type { DefinitionReader } from "./definition-reader.ts";
import { FileLinker } from "./link-files.ts";
import { type DefinitionOrigin, type ReadResult, upsertKey } from "./model.ts";
import { findCalled } from "./store.ts";

/** Files that one workflow may call, those counted that these call. */
const MAX_CALLED_FILES = 100;

/**
 * A workflow that is saved over the API, with what it calls: the project's definitions of these paths as they are, one of the
 * same commit or branch before others. Throws 400 `invalid-workflow-definition` when it calls too many.
 */
export async function linkDefinition(
  { store, reader }: { store: Store; reader: DefinitionReader },
  origin: DefinitionOrigin,
  file: ReadResult,
): Promise<ReadResult> {
  const found = new Map<string, ReadResult | undefined>();
  if (origin.configPath !== null) found.set(origin.configPath, file);
  const wanted = callsOf(file);
  for (let path = wanted.pop(); path !== undefined; path = wanted.pop()) {
    if (found.has(path)) continue;
    if (found.size > MAX_CALLED_FILES)
      throw new ApiError("invalid-workflow-definition", `the workflow calls more than ${MAX_CALLED_FILES} files`);
    const key = upsertKey({ ...origin, configPath: path });
    const yaml = await store.read((tx) => findCalled(tx, origin.projectId, path, key));
    const called = yaml === null ? undefined : await reader.read(yaml);
    found.set(path, called);
    wanted.push(...(called ? callsOf(called) : []));
  }
  return new FileLinker((path) => found.get(path)).link(file, origin.configPath);
}

function callsOf(file: ReadResult): string[] {
  return file.ok ? [...file.calls] : [];
}
