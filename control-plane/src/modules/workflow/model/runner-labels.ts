import { canonicalLabels, isLabel, LABEL_PATTERN, MAX_LABEL_LENGTH, MAX_LABELS } from "@shipfox/shared/labels";
import type { DiagnosticLog } from "../diagnostics.ts";
import type { JobDocument, WorkflowDocument } from "../document/document.ts";
import { hasExpression, type Template, unescapeLiteral } from "../expressions/template.ts";
import { shorten } from "../shorten.ts";
import type { Path } from "../yaml/source-map.ts";

type RunnerDocument = string | string[];

interface Labels {
  /** Canonical. */
  runner: string[];
  /** Those that are known later. */
  templates: Template[];
}

/** Reads a label with expressions. `path` is the job's, `pointAt` where it stands. */
type ReadTemplate = (text: string, path: Path, pointAt: Path) => Template;

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

  /** The labels of one job; refuses faulty ones, an inherited fault only for the first job that meets it. */
  of(key: string, job: JobDocument, readTemplate: ReadTemplate): Labels {
    const path = ["jobs", key, "runner"];
    const written = job.runner ?? this.#inherited;
    if (written === undefined) return { runner: this.#defaultsOf(key, path), templates: [] };
    const isInherited = job.runner === undefined;
    const writtenAt = isInherited ? ["runner"] : path;
    const templates = texts(written).flatMap((label, index) => {
      if (!hasExpression(label)) return [];
      return [readTemplate(label, [...path, index], Array.isArray(written) ? [...writtenAt, index] : writtenAt)];
    });
    const isChecked = isInherited && this.#inheritedIsChecked;
    if (isInherited) this.#inheritedIsChecked = true;
    const runner = isChecked ? canonicalLabels(literals(written)) : this.#read(written, path, writtenAt);
    return { runner, templates };
  }

  #defaultsOf(key: string, path: Path): string[] {
    if (this.#defaults.length === 0) {
      const message = `the job "${shorten(key)}" names no runner label; add \`runner: <label>\` to the job or to the workflow`;
      this.#log.add({ code: "missing-runner-label", message, path, at: "key" });
    }
    return [...this.#defaults];
  }

  /** `path` is the job's, under which the fault counts; `writtenAt` is where the labels stand. */
  #read(runner: RunnerDocument, path: Path, writtenAt: Path): string[] {
    for (const [index, text] of texts(runner).entries()) {
      const label = unescapeLiteral(text);
      if (hasExpression(text) || isLabel(label.trim().toLowerCase())) continue;
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
    const labels = canonicalLabels(literals(runner));
    const count = labels.length + texts(runner).filter(hasExpression).length;
    if (count > MAX_LABELS) {
      const message = `${count} runner labels are too many; a runner has at most ${MAX_LABELS}`;
      this.#log.add({ code: "too-many-runner-labels", message, path, pointAt: writtenAt });
    }
    return labels;
  }
}

function texts(runner: RunnerDocument): string[] {
  return Array.isArray(runner) ? runner : [runner];
}

function literals(runner: RunnerDocument): string[] {
  return texts(runner)
    .filter((label) => !hasExpression(label))
    .map(unescapeLiteral);
}
