import { type Environment } from "@marcbachmann/cel-js";
import { CEL } from "./cel.ts";

/** The type of a value in the notation of CEL, such as `string`, `list<dyn>` or `dyn` for one that is not known. */
export type CelType = string;

export type Fields = Readonly<Record<string, CelType>>;
const ATTEMPT: Fields = {
  status: "string",
  exit_code: "int",
  outputs: "map<string, dyn>",
  response: "string",
  gate: "dyn",
};
export const STEP_RECORD: Fields = {
  status: "string",
  exit_code: "int",
  response: "string",
  gate: "Gate",
  attempts: "list<Attempt>",
};
const EXECUTION: Fields = {
  index: "int",
  name: "string",
  status: "string",
  started_at: "dyn",
  finished_at: "dyn",
  events: "list<Delivery>",
  outputs: "map<string, dyn>",
  failed: "bool",
};
export const JOB_RECORD: Fields = { key: "string", status: "string", executions: "list<Execution>" };

/** What may be null, or holds a time, has no fixed type: CEL knows no "string or null". */
const TYPES: Readonly<Record<string, Fields>> = {
  Trigger: { source: "string", event: "string", project: "dyn", repository: "dyn", ref: "dyn", commit: "dyn" },
  Workflow: { id: "string", name: "string" },
  Run: {
    id: "string",
    number: "int",
    name: "string",
    project_id: "string",
    workspace_id: "string",
    created_at: "dyn",
  },
  Job: { key: "string", name: "string" },
  Delivery: {
    source: "string",
    event: "string",
    delivery_id: "dyn",
    received_at: "dyn",
    project: "dyn",
    repository: "dyn",
    ref: "dyn",
    commit: "dyn",
    data: "dyn",
  },
  Execution: EXECUTION,
  JobRecord: { ...JOB_RECORD, outputs: "map<string, dyn>" },
  Gate: { passed: "bool", source: "dyn", reason: "dyn", exit_code: "dyn" },
  Attempt: ATTEMPT,
  StepRecord: { ...STEP_RECORD, outputs: "map<string, dyn>" },
  Restarted: { ...STEP_RECORD, outputs: "map<string, dyn>" },
  Restart: { from: "Restarted", feedback: "string" },
  StepAtDispatch: { attempt: "int", is_retry: "bool", restart: "Restart" },
  StepAtReport: { exit_code: "int", status: "string", outputs: "map<string, dyn>" },
};

const COMMON_VARIABLES: Fields = {
  trigger: "Trigger",
  event: "dyn",
  workflow: "Workflow",
  run: "Run",
  inputs: "dyn",
  vars: "map<string, string>",
  job: "Job",
  matrix: "dyn",
  execution: "Execution",
  executions: "list<Execution>",
  needs: "list<JobRecord>",
};

function register(environment: Environment, types: Readonly<Record<string, Fields>>): Environment {
  // A type must be known before another names it as a field's.
  const order = Object.entries(types).toReversed();
  const pending = new Map(order);
  const add = (name: string): void => {
    const fields = pending.get(name);
    if (!fields) return;
    pending.delete(name);
    for (const type of Object.values(fields)) {
      for (const inner of type.match(/\w+/g) ?? []) add(inner);
    }
    environment.registerType(name, { fields: { ...fields } });
  };
  for (const [name] of order) add(name);
  return environment;
}

const TYPED = Object.entries(COMMON_VARIABLES).reduce(
  (environment, [name, type]) => environment.registerVariable(name, type),
  register(CEL.clone(), TYPES),
);

/** By the moment at which `step` is read. */
export const STAGES = {
  dispatch: TYPED.clone().registerVariable("step", "StepAtDispatch"),
  report: TYPED.clone().registerVariable("step", "StepAtReport"),
};

/** The same where `jobs` and `steps` may hold anything. */
export const OPEN = {
  dispatch: withOpenRecords(STAGES.dispatch),
  report: withOpenRecords(STAGES.report),
};

function withOpenRecords(environment: Environment): Environment {
  return environment.clone().registerVariable("jobs", "dyn").registerVariable("steps", "dyn");
}

/** What `steps.<key>.outputs.<name>` is, as far as its declaration says. */
export function typeOfOutput(
  declared: string | { type: string; schema?: Readonly<Record<string, unknown>> | boolean },
): CelType {
  const { type, schema } = typeof declared === "string" ? { type: declared, schema: undefined } : declared;
  if (type === "string") return "string";
  if (type === "number") return "double";
  if (type === "boolean") return "bool";
  return typeof schema === "object" ? (SCHEMA_TYPES.get(schema["type"]) ?? "dyn") : "dyn";
}

const SCHEMA_TYPES = new Map<unknown, CelType>([
  ["string", "string"],
  ["number", "double"],
  ["integer", "int"],
  ["boolean", "bool"],
  ["array", "list<dyn>"],
]);
