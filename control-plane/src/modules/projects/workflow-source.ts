import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import type { WorkflowSource } from "../definitions/public.ts";
import type { Git, Sources } from "../integrations/public.ts";
import { setDefaultBranch } from "./store.ts";

/** Reads a project's repository for its sync, and notes when its default branch is another one now. */
export function createWorkflowSource(deps: { store: Store; clock: Clock; sources: Sources; git: Git }): WorkflowSource {
  const { store, clock, sources, git } = deps;
  return {
    async fetchWorkflows(projectId) {
      const located = await store.read((tx) => sources.ofProject(tx, projectId));
      const fetched = await git.fetchWorkflows(await located.open({ contents: "read" }));
      if (fetched.branch !== located.defaultBranch) {
        const now = clock.now();
        await store.write((tx) => setDefaultBranch(tx, projectId, fetched.branch, now));
      }
      return fetched;
    },
  };
}
