import type { ConcurrencyDocument } from "../document/document.ts";
import type { Place } from "../expressions/check.ts";
import { hasExpression, unescapeLiteral } from "../expressions/template.ts";
import { readGroupName } from "../group-name.ts";
import type { ConcurrencyModel } from "./model.ts";
import type { Surroundings } from "./surroundings.ts";

/** `place` is that of the key `concurrency`. */
export function buildConcurrency(
  concurrency: ConcurrencyDocument,
  place: Omit<Place, "pointAt">,
  { expressions, faults }: Pick<Surroundings, "expressions" | "faults">,
): ConcurrencyModel {
  const isShort = typeof concurrency === "string";
  const { group, on_busy: onBusy = "queue" } = isShort ? { group: concurrency } : concurrency;
  const path = isShort ? place.path : [...place.path, "group"];
  const read = hasExpression(group) ? null : readGroupName(unescapeLiteral(group));
  if (read?.ok === false) faults.add({ code: "invalid-value", message: `the name of the group ${read.message}`, path });
  return { group: expressions.template(group, { ...place, path }), onBusy };
}
