import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { silentLog } from "../../testing/api.ts";
import { DefinitionReader, DefinitionSync } from "../definitions/public.ts";
import { Subscriptions } from "../triggers/public.ts";
import type { Git, Sources } from "./public.ts";

/** The sync of definitions as app.ts makes it, without the projects module, which lies above. */
export function definitionSyncs(deps: { store: Store; clock: Clock; sources: Sources; git: Git }): DefinitionSync {
  const { store, sources, git } = deps;
  return new DefinitionSync({
    subscriptions: new Subscriptions(() => {}),
    ...deps,
    log: silentLog,
    reader: new DefinitionReader([]),
    projects: {
      workspaceOf: async (tx, projectId) =>
        (await tx.get<{ workspace_id: string }>("select workspace_id from projects where id = ?", [projectId]))
          ?.workspace_id ?? null,
    },
    source: {
      fetchWorkflows: async (projectId) => {
        const located = await store.read((tx) => sources.ofProject(tx, projectId));
        return git.fetchWorkflows(await located.open({ contents: "read" }));
      },
    },
  });
}
