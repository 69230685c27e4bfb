import type { Evaluator } from "../expressions/public.ts";
import { stringifyValues } from "../workflow/public.ts";
import type { EvaluateFilter } from "./ports.ts";

/** A filter matches when it is `true`, and nothing else: what cannot be evaluated starts nothing. */
export function createFilterEvaluation(evaluator: Pick<Evaluator, "evaluate">): EvaluateFilter {
  return async (filter, roots) => {
    const expressions = [{ source: filter, as: "value" as const }];
    const [result] = await evaluator.evaluate({ context: stringifyValues(roots), expressions });
    if (!result?.ok) return { kind: "error", reason: result?.message ?? "the filter has no value" };
    return { kind: result.value === true ? "match" : "no-match" };
  };
}
