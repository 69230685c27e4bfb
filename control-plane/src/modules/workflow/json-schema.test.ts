import { expect, it } from "vitest";
import { schemaFault } from "./model/json-schema.ts";
import { parseWorkflow, WORKFLOW_JSON_SCHEMA } from "./public.ts";

it("the schema for editors is a JSON Schema, and small", () => {
  expect(schemaFault(WORKFLOW_JSON_SCHEMA)).toBeNull();
  expect(JSON.stringify(WORKFLOW_JSON_SCHEMA).length).toBeLessThan(100_000);
});

it("a graph of 1,000 jobs and 5,000 needs is read as it is", () => {
  const needs = (job: number) => Array.from({ length: Math.min(job, 5) }, (_, back) => `j${job - back - 1}`);
  const jobs = Array.from({ length: 1_000 }, (_, job) => ({ key: `j${job}`, needs: needs(job) }));
  const edges = jobs.reduce((sum, job) => sum + job.needs.length, 0);
  // The first five jobs have fewer to choose from.
  expect(edges).toBe(5_000 - 15);
  const lines = jobs.map(({ key, needs: names }) => {
    const asked = names.length > 0 ? `needs: [${names.join(", ")}], ` : "";
    const read = names[0] === undefined ? "" : ` \${{ jobs.${names[0]}.outputs.v }}`;
    return `  ${key}: { ${asked}outputs: { v: "\${{ run.number }}" }, steps: [{ run: "echo${read}" }] }`;
  });
  const result = parseWorkflow(`name: a\nrunner: x\njobs:\n${lines.join("\n")}\n`);
  expect(result.ok && result.model.jobs.map((job) => ({ key: job.key, needs: job.needs }))).toEqual(jobs);
});
