import type { SoakOptions } from "./options.ts";

/** What a soak answers. */
export interface SoakReport {
  readonly runs: number;
  /** What was done, and what came of it, besides the findings. */
  readonly facts: readonly (readonly [string, string | number])[];
  /** By kind, as sentences that name the run or the thing. Empty lists are what is promised. */
  readonly findings: Readonly<Record<string, readonly string[]>>;
  readonly seconds: number;
  readonly options: SoakOptions;
}

export interface SoakContext {
  /** Gets a line of progress now and then. */
  readonly say: (line: string) => void;
  readonly stop?: AbortSignal;
}
