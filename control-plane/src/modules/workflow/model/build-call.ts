import { calledPath } from "../document/call.ts";
import type { CallDocument } from "../document/document.ts";
import { PREDICATE_SITES, TEMPLATE_SITES } from "../expressions/contexts.ts";
import { unescapeLiteral } from "../expressions/template.ts";
import { type JobPlace, namesOfNeeds } from "./build-job.ts";
import type { CallModel, JobPlan } from "./model.ts";

/** Plans a job that calls a workflow, by itself: `CallLinker` puts the jobs of that workflow behind it. */
export function buildCall(job: CallDocument, place: JobPlace): JobPlan {
  const { key, needs, source, expressions } = place;
  const path = ["jobs", key];
  const names = namesOfNeeds(job.matrix, place);
  const given: CallModel["with"] = {};
  const inputPlaces: NonNullable<CallModel["places"]>["with"] = {};
  for (const [name, value] of Object.entries(job.with ?? {})) {
    const inputPath = [...path, "with", name];
    const at = { path: inputPath, site: TEMPLATE_SITES.callInput, names, needs };
    given[name] = typeof value === "string" ? expressions.template(value, at) : value;
    inputPlaces[name] = source.position(inputPath, "key");
  }
  const condition = { path: [...path, "if"], names, needs, site: PREDICATE_SITES.jobIf, readsNeeds: true };
  return {
    key,
    name: job.name === undefined ? null : unescapeLiteral(job.name),
    call: {
      path: calledPath(unescapeLiteral(job.uses)) ?? "",
      with: given,
      places: { uses: source.position([...path, "uses"], "value"), with: inputPlaces },
    },
    image: null,
    checkout: null,
    executionTimeoutMs: 0,
    steps: [],
    needs: [...needs],
    runner: [],
    ...(job.if === undefined
      ? {}
      : { if: expressions.condition(job.if, { ...condition, code: "invalid-job-if" as const }) }),
  };
}
