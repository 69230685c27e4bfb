import { shorten } from "./shorten.ts";
import type { Path, SourceMap } from "./yaml/source-map.ts";

/** Every code a diagnostic may carry, with its meaning; `docs/workflows.md` lists the same codes for users. */
export const DIAGNOSTIC_CODES = {
  "invalid-workflow-yaml": "the text is not one readable YAML mapping",
  "unknown-key": "a key that the language does not have",
  "renamed-key": "a key of the language's older form, which has another name now",
  "unsupported-key": "a key that is reserved for later, or that belongs to another kind of step or trigger",
  "unsupported-expression": "a `${{ }}` expression in a place that has none",
  "not-runnable-yet": "part of the language, accepted and checked, that this version does not run",
  "invalid-interpolation-template": "a `${{` without end, or an expression that cannot be read",
  "invalid-interpolation-expression": "an expression whose types do not fit together",
  "unknown-interpolation-context": "an expression reads a name that the language does not have",
  "computed-context-key": "`vars`, `secrets`, `jobs` or `matrix` without a literal key",
  "context-unavailable-at-fill-site": "an expression reads a name that has no value there",
  "context-unavailable-at-predicate-site": "a condition or filter reads a name that has no value there",
  "missing-job-needs-edge": "an expression reads a job that is no direct need",
  "dynamic-name-self-reference": "a name is made of itself",
  "unknown-matrix-axis": "an expression or `exclude` names an axis that the matrix of the job does not have",
  "unknown-secret-store": "a secret store other than `local`",
  "runner-context-in-field": "a secret where none can be: only `run` and `env` of run steps may hold one",
  "runner-context-not-bare": "a secret inside of a larger expression",
  "runner-context-in-server-predicate": "a secret in a condition or filter, which the server decides",
  "missing-key": "a required key is absent",
  "invalid-type": "the value has the wrong type",
  "invalid-value": "the value has the right type and breaks a rule",
  "duplicate-job-id": "two job keys give one id",
  "duplicate-step-id": "two step keys of one job give one id",
  "duplicate-trigger-id": "two trigger keys give one id",
  "unknown-job-dependency": "`needs`, or an output of the workflow, names a job that does not exist",
  "self-job-dependency": "a job needs itself",
  "job-dependency-cycle": "jobs need each other in a circle",
  "unknown-called-workflow": "`uses` names a workflow file that does not exist",
  "invalid-called-workflow": "the workflow file that `uses` names has a fault",
  "workflow-call-cycle": "workflows call each other in a circle",
  "workflow-call-depth": "a call in a call, and so on, deeper than allowed",
  "invalid-call-input": "`with` does not fit the inputs that the called workflow declares",
  "missing-runner-label": "neither the job, the workflow nor the server names a runner label",
  "invalid-runner-label": "a runner label breaks the label rule",
  "too-many-runner-labels": "a job asks for more labels than a runner can have",
  "multiple-manual-triggers": "more than one trigger is manual",
  "invalid-cron-event": "the event of a cron trigger is not `tick`",
  "missing-cron-schedule": "a cron trigger without a schedule",
  "invalid-cron-schedule": "a schedule that is malformed or never fires",
  "invalid-cron-timezone": "a time zone that does not exist",
  "invalid-workflow-trigger":
    "a trigger waits for the end of a run by an event that there is not, or in a listening job",
  "invalid-trigger-filter": "the filter of a trigger is not true or false, or stands where none can be",
  "invalid-listener-filter": "the same for a trigger of a listening job",
  "invalid-job-if": "the condition of a job is not one expression that is true or false",
  "invalid-step-if": "the same for a step",
  "invalid-job-success": "the success condition of a job is not a bare expression that is true or false",
  "invalid-step-gate-success": "the same for a gate",
  "invalid-step-gate-restart-from": "`restart_from` does not name an earlier step of the job",
  "listening-timeout-exceeds-run-timeout": "a job would listen longer than a run can live",
  "listening-job-missing-resolution-source": "a listening job that would never end",
  "invalid-output-schema": "the schema of an output is not a JSON Schema",
  "checkout-target-invalid": "keys of a checkout that cannot stand together",
  "harness-provider-incompatible": "a harness that cannot call the provider",
  "harness-thinking-incompatible": "a thinking level that the harness does not have",
  "harness-tool-incompatible": "a tool that the harness does not have",
  "missing-harness-for-tools": "tools without the harness that they belong to",
  "invalid-provider": "a model provider that does not exist or cannot be used",
  "invalid-model": "a model that the provider does not have",
  "invalid-duration": "a duration is malformed or out of range",
  "workflow-too-large": "jobs, steps or merged environments exceed the size limits",
  "re-evaluating-command": "warning: a value would become code, of the shell or of the command that gets it",
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

  /** Whatever is added now is dropped, so that looking for it is in vain. */
  get isFull(): boolean {
    return this.#entries.length >= MAX_DIAGNOSTICS;
  }

  add(fault: Fault): void {
    if (this.isFull) return;
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
    return inReadingOrder(this.#entries);
  }
}

export function inReadingOrder(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return diagnostics.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

/** Half a replacement would be worse than none. */
function isUseful(suggestion: string | undefined): suggestion is string {
  return suggestion !== undefined && suggestion.length <= MAX_MESSAGE_CHARACTERS;
}
