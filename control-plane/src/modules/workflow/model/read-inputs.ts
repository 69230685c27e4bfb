import type { InputDocument } from "../document/document.ts";
import { shorten } from "../shorten.ts";
import { suggest } from "../suggest.ts";
import type { ManualTriggerModel, WorkflowPlan } from "./model.ts";

type Inputs = Record<string, unknown>;
type InputsResult = { ok: true; inputs: Inputs | null } | { ok: false; faults: { path: string; message: string }[] };

/**
 * The inputs of a run that is fired by hand. What is given replaces the trigger's own as a whole; declared inputs are
 * checked, and their defaults filled in.
 */
export function readInputs(trigger: ManualTriggerModel, given: Inputs | undefined): InputsResult {
  const inputs = given ?? trigger.with;
  const declared = new Map(Object.entries(trigger.inputs ?? {}));
  if (declared.size === 0) return { ok: true, inputs };
  const values = new Map(Object.entries(inputs ?? {}));
  const faults: { path: string; message: string }[] = [];
  for (const name of values.keys()) {
    const message = nameFault(name, declared);
    if (message !== null) faults.push({ path: `inputs.${shorten(name)}`, message });
  }
  for (const [name, declaration] of declared) {
    if (!values.has(name) && declaration.default !== undefined) values.set(name, declaration.default);
    const message = inputFault(declaration, values.get(name));
    if (message !== null) faults.push({ path: `inputs.${name}`, message });
  }
  return faults.length > 0 ? { ok: false, faults } : { ok: true, inputs: Object.fromEntries(values) };
}

/** What a call of the workflow may give, by name. */
export function inputsOf({ inputs, manualTrigger }: WorkflowPlan): Record<string, InputDocument> {
  return inputs ?? manualTrigger?.inputs ?? {};
}

/** Why there can be no input of this name, in words; null when it is declared. */
export function nameFault(name: string, declared: ReadonlyMap<string, InputDocument>): string | null {
  if (declared.has(name)) return null;
  const known = [...declared.keys()];
  const meant = suggest(name, known);
  const advice = meant ? `did you mean \`${meant}\`?` : `it declares ${known.join(", ") || "none"}`;
  return `the workflow has no such input; ${advice}`;
}

/** What is wrong with the value of an input, in words; null when nothing is. */
export function inputFault({ type, required, options = [] }: InputDocument, value: unknown): string | null {
  if (value === undefined) return required ? "is required" : null;
  if (type !== "choice") return typeof value === type ? null : `must be a ${type}`;
  return options.some((option) => option === value) ? null : `must be one of ${options.join(", ")}`;
}
