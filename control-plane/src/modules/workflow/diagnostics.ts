import { shorten } from "./shorten.ts";
import type { Path, SourceMap } from "./yaml/source-map.ts";

/** Every code a diagnostic may carry, with its meaning; `docs/workflows.md` lists the same codes for users. */
export const DIAGNOSTIC_CODES = {
  "invalid-workflow-yaml": "the text is not one readable YAML mapping",
  "unknown-key": "a key that the language does not have",
  "unsupported-key": "a key of the language that this version does not run yet",
  "unsupported-trigger": "a trigger source that this version does not listen to yet",
  "unsupported-expression": "a `${{ }}` expression, which this version does not evaluate yet",
  "invalid-interpolation-template": "a `${{` without end, or nothing between `${{` and `}}`",
  "unknown-interpolation-context": "an expression starts with a name that the language does not have",
  "computed-context-key": "`vars` or `secrets` without a literal key",
  "unknown-secret-store": "a secret store other than `local`",
  "runner-context-in-field": "a secret where none can be: only `run` and `env` of run steps may hold one",
  "runner-context-not-bare": "a secret inside of a larger expression",
  "missing-key": "a required key is absent",
  "invalid-type": "the value has the wrong type",
  "invalid-value": "the value has the right type and breaks a rule",
  "duplicate-job-id": "two job keys give one id",
  "duplicate-step-id": "two step keys of one job give one id",
  "duplicate-trigger-id": "two trigger keys give one id",
  "unknown-job-dependency": "`needs` names a job that does not exist",
  "self-job-dependency": "a job needs itself",
  "job-dependency-cycle": "jobs need each other in a circle",
  "missing-runner-label": "neither the job, the workflow nor the server names a runner label",
  "invalid-runner-label": "a runner label breaks the label rule",
  "too-many-runner-labels": "a job asks for more labels than a runner can have",
  "multiple-manual-triggers": "more than one trigger is manual",
  "invalid-duration": "a duration is malformed or out of range",
  "workflow-too-large": "jobs, steps or merged environments exceed the size limits",
  "re-evaluating-command": "warning: a value would become code of the shell; runs cannot be created",
  "rewritten-env-value": "warning: YAML reads the value as another text than the one written",
} as const;

export type DiagnosticCode = keyof typeof DIAGNOSTIC_CODES;

/**
 * One fault of a workflow file, ready for an editor.
 *
 * `path` is dotted (`jobs.build.steps.0.run`), `(root)` for the whole file, and `line:column` for YAML faults. `line` and
 * `column` start at 1. `suggestion` is the text to write instead of the faulty key or value.
 */
export interface Diagnostic {
  code: DiagnosticCode;
  message: string;
  path: string;
  line: number;
  column: number;
  suggestion?: string;
}

export interface Fault {
  code: DiagnosticCode;
  message: string;
  path: Path;
  /** Which half of the entry to point at; the value unless said otherwise. */
  at?: "key" | "value";
  /** Where to point when that is not where `path` leads, e.g. at an inherited value. */
  pointAt?: Path;
  suggestion?: string | undefined;
}

/** More than this helps nobody and would let a hostile file produce an answer larger than itself. */
export const MAX_DIAGNOSTICS = 100;

/** Bounds of one diagnostic; `path` as in the published API. */
const MAX_PATH_CHARACTERS = 512;
const MAX_MESSAGE_CHARACTERS = 1_000;

/** Collects the faults of one layer, at most `MAX_DIAGNOSTICS`; later ones are dropped. */
export class DiagnosticLog {
  readonly source: SourceMap;
  readonly #entries: Diagnostic[] = [];
  readonly #seen = new Set<string>();

  constructor(source: SourceMap) {
    this.source = source;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  add(fault: Fault): void {
    if (this.#entries.length >= MAX_DIAGNOSTICS) return;
    const position = this.source.position(fault.pointAt ?? fault.path, fault.at ?? "value");
    // An aliased or merged value is checked wherever it is used; its fault is one.
    const identity = `${position.line}:${position.column} ${fault.code} ${fault.message}`;
    if (this.#seen.has(identity)) return;
    this.#seen.add(identity);
    this.#entries.push({
      code: fault.code,
      message: shorten(fault.message, MAX_MESSAGE_CHARACTERS),
      path: fault.path.length === 0 ? "(root)" : shorten(fault.path.join("."), MAX_PATH_CHARACTERS),
      ...position,
      ...(isUseful(fault.suggestion) ? { suggestion: fault.suggestion } : {}),
    });
  }

  /** The faults in the order in which a reader meets them. */
  inFileOrder(): Diagnostic[] {
    return this.#entries.toSorted((a, b) => a.line - b.line || a.column - b.column);
  }
}

/** Half a replacement would be worse than none. */
function isUseful(suggestion: string | undefined): suggestion is string {
  return suggestion !== undefined && suggestion.length <= MAX_MESSAGE_CHARACTERS;
}
