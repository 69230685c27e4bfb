import type { WriteTx } from "../../store/store.ts";
import type { Evaluator } from "../expressions/public.ts";
import {
  type Expression,
  literalTextOf,
  sourcesOf,
  substituteAll,
  type Template,
  type TemplateSegment,
} from "../workflow/public.ts";
import { contextOf, type Viewpoint } from "./contexts.ts";

/** What a condition turned out to be. Both other outcomes count as "no". */
export type Verdict = "accepted" | "rejected" | "errored";

/** Texts whose expressions have been put in: only literal pieces and secrets are left, neighbours joined. */
export type Filled =
  | { readonly ok: true; readonly templates: Record<string, Template> }
  | { readonly ok: false; readonly field: string; readonly source: string; readonly message: string };

interface Deps {
  readonly evaluator: Pick<Evaluator, "evaluateIn">;
}

/** Evaluates a condition as it looks from `viewpoint`. */
export async function judge(
  tx: WriteTx,
  { evaluator }: Deps,
  viewpoint: Viewpoint,
  source: string,
): Promise<{ verdict: Verdict; message: string | null }> {
  const context = await contextOf(tx, viewpoint, [source]);
  const [result] = evaluator.evaluateIn(tx, { context, expressions: [{ source, as: "condition" }] });
  if (!result?.ok) return { verdict: "errored", message: result?.message ?? null };
  return { verdict: result.value === true ? "accepted" : "rejected", message: null };
}

/** Fills the expressions of all templates, or says which could not be filled. */
export async function fill(
  tx: WriteTx,
  { evaluator }: Deps,
  viewpoint: Viewpoint,
  templates: Readonly<Record<string, Template>>,
): Promise<Filled> {
  const sources = [...new Set(Object.values(templates).flatMap(sourcesOf))];
  if (sources.length === 0) return { ok: true, templates };
  const context = await contextOf(tx, viewpoint, sources);
  const expressions = sources.map((source): Expression => ({ source, as: "text" }));
  const results = evaluator.evaluateIn(tx, { context, expressions });
  const texts = new Map<string, string>();
  for (const [index, source] of sources.entries()) {
    const result = results[index];
    if (result?.ok) texts.set(source, String(result.value));
    else {
      const [field] = Object.entries(templates).find(([, template]) => sourcesOf(template).includes(source)) ?? [""];
      return { ok: false, field, source, message: result?.message ?? "" };
    }
  }
  const textOf = (segment: TemplateSegment) => (segment.kind === "expression" ? texts.get(segment.source) : undefined);
  return { ok: true, templates: substituteAll(templates, textOf) };
}

const MAX_NAME_CHARACTERS = 255;

/**
 * A name: one line without control characters, as a title. Null where it has no value or an empty one; whoever asks goes on
 * with another, because a name decides nothing.
 */
export async function fillName(
  tx: WriteTx,
  deps: Deps,
  viewpoint: Viewpoint,
  template: Template,
): Promise<string | null> {
  const filled = await fill(tx, deps, viewpoint, { name: template });
  if (!filled.ok) return null;
  const line = literalTextOf(filled.templates["name"] ?? [])
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .trim();
  const name = line.slice(0, MAX_NAME_CHARACTERS).toWellFormed();
  return name === "" ? null : name;
}
