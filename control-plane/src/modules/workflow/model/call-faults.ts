import type { Diagnostic, DiagnosticCode } from "../diagnostics.ts";
import { shorten } from "../shorten.ts";
import type { Position } from "../yaml/source-map.ts";
import type { CallModel, CallPlaces, JobPlan } from "./model.ts";

const MAX_MESSAGE_CHARACTERS = 1_000;
const START: Position = { line: 1, column: 1 };

/** The faults of one call. The jobs of a matrix have theirs once. */
export class CallFaults {
  readonly found: Diagnostic[];
  readonly #key: string;
  readonly #places: CallPlaces;

  constructor({ key, matrix }: JobPlan, { places }: CallModel, found: Diagnostic[]) {
    this.#key = matrix?.job ?? key;
    this.#places = places ?? { uses: START, with: {} };
    this.found = found;
  }

  /** At `uses`. */
  refuse(code: DiagnosticCode, message: string): null {
    return this.#add(this.at(code, message));
  }

  refuseInput(name: string, message: string): void {
    const path = `jobs.${shorten(this.#key)}.with.${shorten(name)}`;
    const place = Object.hasOwn(this.#places.with, name) ? this.#places.with[name] : undefined;
    this.#add({ ...this.at("invalid-call-input", message), path, ...(place ?? this.#places.uses) });
  }

  at(code: DiagnosticCode, message: string): Diagnostic {
    const path = `jobs.${shorten(this.#key)}.uses`;
    return { code, message: shorten(message, MAX_MESSAGE_CHARACTERS), path, ...this.#places.uses };
  }

  #add(fault: Diagnostic): null {
    const isKnown = this.found.some(({ path, message }) => path === fault.path && message === fault.message);
    if (!isKnown) this.found.push(fault);
    return null;
  }
}
