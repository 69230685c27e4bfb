import { CallLinker, type ReadWorkflow, type WorkflowPlan } from "../workflow/public.ts";
import type { ReadResult } from "./model.ts";

/** A workflow file by its path from the root of its repository. */
export type FindResult = (path: string) => ReadResult | undefined;

/** What a run of a definition was made of beside its own file. */
export interface CalledFile {
  readonly path: string;
  readonly yaml: string;
}

/** Puts into workflow files what they call, all of one state of a repository. What many call is put together once. */
export class FileLinker {
  readonly #find: FindResult;
  readonly #linker: CallLinker;

  constructor(find: FindResult) {
    this.#find = find;
    this.#linker = new CallLinker((path) => {
      const found = find(path);
      return found && asRead(found);
    });
  }

  /** The file as it runs; faults of what it calls are faults of its own. `path` is null for a text without one. */
  link(file: ReadResult, path: string | null): ReadResult {
    if (!file.ok || file.calls.length === 0) return file;
    const linked = this.#linker.link(planOf(file), path);
    if (!linked.ok) return linked;
    const called: CalledFile[] = linked.called.map((one) => ({ path: one, yaml: this.#yamlOf(one) }));
    const content = {
      ...file.content,
      model: JSON.stringify(linked.plan),
      called_files: JSON.stringify(called),
    };
    return { ...file, content, notRunnable: [...linked.notRunnable, ...file.notRunnable] };
  }

  #yamlOf(path: string): string {
    const found = this.#find(path);
    return found?.ok ? found.content.yaml : "";
  }
}

function asRead(file: ReadResult): ReadWorkflow {
  return file.ok ? { ok: true, plan: planOf(file) } : file;
}

function planOf({ content }: Extract<ReadResult, { ok: true }>): WorkflowPlan {
  return JSON.parse(content.model) as WorkflowPlan;
}
