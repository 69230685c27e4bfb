/** One figure of this product, taken beside its yardsticks in the same run. */
export interface Bench {
  /** How it is called on the command line. */
  readonly name: string;
  readonly title: string;
  /** What is measured and how, for the reader of the results. */
  readonly about: string;
  readonly needsDocker: boolean;
  run(context: BenchContext): Promise<BenchReport>;
}

export interface BenchContext {
  /** A smoke test: counts too small for figures that mean something. */
  readonly quick: boolean;
  /** Whatever is started or made is deferred here; it is undone in reverse order, also after an interrupt. */
  readonly resources: AsyncDisposableStack;
  /** Aborts when the run is to stop; looked at between samples. */
  readonly stop: AbortSignal;
  /** Tells a person who waits. */
  readonly say: (text: string) => void;
}

export interface BenchReport {
  readonly tables: readonly Table[];
  readonly aims: readonly Aim[];
  readonly notes: readonly string[];
}

export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** What a ratio should be. */
export interface Aim {
  readonly what: string;
  readonly measured: number;
  readonly bound: { readonly atLeast: number } | { readonly atMost: number };
}

export function isMet({ measured, bound }: Aim): boolean {
  return "atLeast" in bound ? measured >= bound.atLeast : measured <= bound.atMost;
}
