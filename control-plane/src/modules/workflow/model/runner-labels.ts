import { canonicalLabels, isLabel, LABEL_PATTERN, MAX_LABEL_LENGTH, MAX_LABELS } from "@shipfox/shared/labels";
import type { DiagnosticLog } from "../diagnostics.ts";
import type { JobDocument, WorkflowDocument } from "../document/document.ts";
import { unescapeLiteral } from "../expressions.ts";
import { shorten } from "../shorten.ts";
import type { Path } from "../yaml/source-map.ts";

type RunnerDocument = string | string[];

/** Chooses the labels of each job: its own, else the workflow's, else the server's; the first that says any, unmixed. */
export class RunnerLabels {
  readonly #log: DiagnosticLog;
  readonly #inherited: RunnerDocument | undefined;
  readonly #defaults: readonly string[];
  #inheritedIsChecked = false;

  constructor(options: { workflow: WorkflowDocument; defaults: readonly string[]; log: DiagnosticLog }) {
    this.#log = options.log;
    this.#inherited = options.workflow.runner;
    this.#defaults = canonicalLabels(options.defaults);
  }

  /** Canonical labels of one job; refuses faulty ones, an inherited fault only for the first job that meets it. */
  of(key: string, job: JobDocument): string[] {
    const path = ["jobs", key, "runner"];
    if (job.runner !== undefined) return this.#read(job.runner, path, path);
    if (this.#inherited !== undefined) {
      const isFirst = !this.#inheritedIsChecked;
      this.#inheritedIsChecked = true;
      return isFirst ? this.#read(this.#inherited, path, ["runner"]) : canonicalLabels(texts(this.#inherited));
    }
    if (this.#defaults.length === 0) {
      const message = `the job "${shorten(key)}" names no runner label; add \`runner: <label>\` to the job or to the workflow`;
      this.#log.add({ code: "missing-runner-label", message, path, at: "key" });
    }
    return [...this.#defaults];
  }

  /** `path` is the job's, under which the fault counts; `writtenAt` is where the labels stand. */
  #read(runner: RunnerDocument, path: Path, writtenAt: Path): string[] {
    for (const [index, label] of texts(runner).entries()) {
      if (isLabel(label.trim().toLowerCase())) continue;
      const advice = /[\s,]/.test(label.trim()) ? "; write several labels as a list" : "";
      const message = `"${shorten(label)}" is not a runner label: it must match ${LABEL_PATTERN.source} and have at most ${MAX_LABEL_LENGTH} characters${advice}`;
      const item = Array.isArray(runner) ? [index] : [];
      this.#log.add({
        code: "invalid-runner-label",
        message,
        path: [...path, ...item],
        pointAt: [...writtenAt, ...item],
      });
    }
    const labels = canonicalLabels(texts(runner));
    if (labels.length > MAX_LABELS) {
      const message = `${labels.length} runner labels are too many; a runner has at most ${MAX_LABELS}`;
      this.#log.add({ code: "too-many-runner-labels", message, path, pointAt: writtenAt });
    }
    return labels;
  }
}

function texts(runner: RunnerDocument): string[] {
  return (Array.isArray(runner) ? runner : [runner]).map(unescapeLiteral);
}
