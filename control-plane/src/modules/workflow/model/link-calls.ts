import type { InputDocument } from "../document/document.ts";
import { type Diagnostic, type DiagnosticCode, inReadingOrder } from "../diagnostics.ts";
import { MAX_CALL_DEPTH, MAX_CALLED_CHARACTERS, MAX_JOBS, MAX_NAME_CHARACTERS, MAX_STEPS } from "../limits.ts";
import { shorten } from "../shorten.ts";
import { CallFaults } from "./call-faults.ts";
import { literalTextOf } from "../expressions/template.ts";
import { isLiteral } from "./surroundings.ts";
import type { CallModel, JobPlan, WorkflowPlan } from "./model.ts";
import { inputFault, inputsOf, nameFault } from "./read-inputs.ts";

/** What was read of a workflow file by itself. */
export type ReadWorkflow =
  | { readonly ok: true; readonly plan: WorkflowPlan }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

export type LinkedWorkflow =
  | {
      readonly ok: true;
      readonly plan: WorkflowPlan;
      /** The files that it calls, and that these call, each once. */
      readonly called: readonly string[];
      /** What of them this version does not run; `plan.notRunnable` has it as well. */
      readonly notRunnable: readonly Diagnostic[];
    }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

interface Size {
  /** Calls in calls. */
  depth: number;
  jobs: number;
  steps: number;
  /** Of the called jobs as JSON. */
  characters: number;
}

const NOTHING: Readonly<Size> = { depth: 0, jobs: 0, steps: 0, characters: 0 };

interface Linked extends Readonly<Size> {
  readonly result: LinkedWorkflow;
}

/**
 * Puts the jobs of called workflows behind the jobs that call them, under keys such as `deploy/build`. Each file is linked
 * once, however many call it. `find` answers what was read of a file, undefined when there is none.
 */
export class CallLinker {
  readonly #find: (path: string) => ReadWorkflow | undefined;
  readonly #linked = new Map<string, Linked>();
  /** The files that are being linked, each called by the one before it. */
  readonly #chain: string[] = [];

  constructor(find: (path: string) => ReadWorkflow | undefined) {
    this.#find = find;
  }

  /** The workflow with all that it calls. `path` is its own, null for a text without one. */
  link(plan: WorkflowPlan, path: string | null): LinkedWorkflow {
    if (path === null) return this.#linkPlan(plan).result;
    return (this.#linked.get(path) ?? this.#linkFile(path, plan)).result;
  }

  #read(path: string): Linked | undefined {
    const found = this.#find(path);
    if (!found) return undefined;
    if (found.ok) return this.#linkFile(path, found.plan);
    const faulty = { ...NOTHING, result: found };
    this.#linked.set(path, faulty);
    return faulty;
  }

  #linkFile(path: string, plan: WorkflowPlan): Linked {
    this.#chain.push(path);
    const linked = this.#linkPlan(plan);
    this.#chain.pop();
    this.#linked.set(path, linked);
    return linked;
  }

  #linkPlan(plan: WorkflowPlan): Linked {
    const faults: Diagnostic[] = [];
    const notRunnable: Diagnostic[] = [];
    const called = new Set<string>();
    const keys = new Set(plan.jobs.map(({ key }) => key));
    const size = { ...NOTHING, jobs: plan.jobs.length, steps: stepsOf(plan) };
    const jobs: JobPlan[] = [];
    for (const job of plan.jobs) {
      const at = job.call && new CallFaults(job, job.call, faults);
      const target = job.call && at ? this.#target(job.call, size, at) : null;
      if (!job.call || !at || !target) {
        jobs.push(job);
        continue;
      }
      const inner = target.plan.jobs.map((one) => inlined(one, job));
      refuseKeys(inner, keys, at);
      jobs.push(linkedCall(job, target.plan), ...inner);
      for (const path of [job.call.path, ...target.called]) called.add(path);
      const [first] = target.plan.notRunnable ?? [];
      if (first) notRunnable.push(at.at("not-runnable-yet", notRunnableIn(job.call.path, first)));
    }
    if (faults.length > 0) return { ...size, result: { ok: false, diagnostics: inReadingOrder(faults) } };
    const reasons = [...notRunnable, ...(plan.notRunnable ?? [])];
    const linked = { ...plan, jobs, ...(reasons.length > 0 ? { notRunnable: inReadingOrder(reasons) } : {}) };
    const result = { ok: true, plan: linked, called: [...called], notRunnable } as const;
    return { ...size, characters: JSON.stringify(jobs).length, result };
  }

  /** The called workflow, linked and counted in `size`; null when it cannot be called, which is a fault of the call. */
  #target(call: CallModel, size: Size, at: CallFaults): Extract<LinkedWorkflow, { ok: true }> | null {
    const { path } = call;
    if (this.#chain.includes(path)) {
      const circle = [...this.#chain.slice(this.#chain.indexOf(path)), path].map((one) => shorten(one)).join(" → ");
      return at.refuse("workflow-call-cycle", `these workflows call each other and would never end: ${circle}`);
    }
    const linked = this.#linked.get(path) ?? this.#read(path);
    if (!linked) return at.refuse("unknown-called-workflow", `there is no workflow file \`${shorten(path)}\``);
    const { result, ...added } = linked;
    if (!result.ok) return at.refuse("invalid-called-workflow", faultIn(path, result.diagnostics));
    checkInputs(call, inputsOf(result.plan), at);
    size.depth = Math.max(size.depth, added.depth + 1);
    size.jobs += added.jobs;
    size.steps += added.steps;
    size.characters += added.characters;
    const excess = excessOf(size);
    if (excess === null) return result;
    const [code, limit] = excess;
    return at.refuse(code, `with this call the workflow has ${limit}`);
  }
}

function faultIn(path: string, [first, ...more]: readonly Diagnostic[]): string {
  const others = more.length === 0 ? "" : ` (and ${more.length} more)`;
  const fault = first === undefined ? "" : `: line ${first.line}, column ${first.column}: ${first.message}${others}`;
  return `\`${path}\` has a fault${fault}`;
}

function notRunnableIn(path: string, { line, message }: Diagnostic): string {
  return `\`${path}\` cannot run yet: line ${line}: ${message}`;
}

function stepsOf({ jobs }: WorkflowPlan): number {
  return jobs.reduce((sum, { steps }) => sum + steps.length, 0);
}

/** Bounds what a few files can make the server store. */
function excessOf({ depth, jobs, steps, characters }: Size): [DiagnosticCode, string] | null {
  if (depth > MAX_CALL_DEPTH) return ["workflow-call-depth", `calls in calls over ${MAX_CALL_DEPTH} deep`];
  if (jobs > MAX_JOBS) return ["workflow-too-large", `over ${MAX_JOBS} jobs`];
  if (steps > MAX_STEPS) return ["workflow-too-large", `over ${MAX_STEPS} steps`];
  if (characters <= MAX_CALLED_CHARACTERS) return null;
  return ["workflow-too-large", `over ${MAX_CALLED_CHARACTERS} characters of called jobs`];
}

/** The calling job, with what it needs to know of the called workflow. */
function linkedCall(job: JobPlan, called: WorkflowPlan): JobPlan {
  const { places: _places, ...call } = job.call as CallModel;
  const inputs = inputsOf(called);
  return {
    ...job,
    call: { ...call, ...(Object.keys(inputs).length > 0 ? { inputs } : {}) },
    // Each call of a matrix would have its own.
    ...(called.outputs && !job.matrix ? { outputs: called.outputs } : {}),
  };
}

/** A job of the called workflow, as one of the calling. */
function inlined(job: JobPlan, { key: prefix, call }: JobPlan): JobPlan {
  const under = (key: string) => `${prefix}/${key}`;
  return {
    ...job,
    key: under(job.key),
    within: job.within === undefined ? prefix : under(job.within),
    file: job.file ?? (call as CallModel).path,
    needs: job.needs.map(under),
    ...(job.matrix ? { matrix: { ...job.matrix, job: under(job.matrix.job) } } : {}),
    ...(job.downloads ? { downloads: job.downloads.map((one) => ({ ...one, job: under(one.job) })) } : {}),
  };
}

/** What `with` says against what the called workflow declares. The values of expressions are checked when the call starts. */
function checkInputs({ path, with: given }: CallModel, inputs: Record<string, InputDocument>, at: CallFaults): void {
  const declared = new Map(Object.entries(inputs));
  for (const [name, value] of Object.entries(given)) {
    const declaration = declared.get(name);
    const fault = declaration ? valueFault(declaration, value) : nameFault(name, declared);
    if (fault !== null) at.refuseInput(name, `\`${shorten(name)}\` ${fault}`);
  }
  for (const [name, { required, default: preset }] of declared)
    if (required && preset === undefined && !Object.hasOwn(given, name))
      at.refuseInput(name, `\`${shorten(path)}\` needs the input \`${name}\`; give it by \`with\``);
}

function valueFault(declaration: InputDocument, value: CallModel["with"][string]): string | null {
  if (!Array.isArray(value)) return inputFault(declaration, value);
  if (isLiteral(value)) return inputFault(declaration, literalTextOf(value));
  const isText = declaration.type === "string" || declaration.type === "choice";
  if (isText || value.length === 1) return null;
  return `must be a ${declaration.type}, and this is a text; write one expression and nothing around it`;
}

/** Refuses keys that are too long for an index, or those of other jobs. */
function refuseKeys(inner: readonly JobPlan[], taken: Set<string>, at: CallFaults): void {
  for (const { key } of inner) {
    if (key.length > MAX_NAME_CHARACTERS)
      at.refuse(
        "invalid-value",
        `the key of the job "${shorten(key)}" would have over ${MAX_NAME_CHARACTERS} characters`,
      );
    if (taken.has(key))
      at.refuse("duplicate-job-id", `"${shorten(key)}" would be the key of two jobs; rename one of them`);
    taken.add(key);
  }
}
