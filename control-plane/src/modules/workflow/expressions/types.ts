import { type Environment } from "@marcbachmann/cel-js";
import { CEL } from "./cel.ts";
import type { Site } from "./contexts.ts";

/** The type of a value in the notation of CEL, such as `string`, `list<dyn>` or `dyn` for one that is not known. */
export type CelType = string;

/** Keys of jobs and steps whose outputs are known, for an expression that is checked in full. */
export interface KnownOutputs {
  /** By source key: every keyed step of the job, with the types of its declared outputs; null when it declares none. */
  readonly steps: ReadonlyMap<string, Readonly<Record<string, CelType>> | null>;
  /** By source key: the direct needs of the job; null for those that publish none. */
  readonly jobs: ReadonlyMap<string, Readonly<Record<string, CelType>> | null>;
}

type Fields = Readonly<Record<string, CelType>>;

const ATTEMPT: Fields = {
  status: "string",
  exit_code: "int",
  outputs: "map<string, dyn>",
  response: "string",
  gate: "dyn",
};
const STEP_RECORD: Fields = {
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
const JOB_RECORD: Fields = { key: "string", status: "string", executions: "list<Execution>" };

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

const STAGES = {
  dispatch: TYPED.clone().registerVariable("step", "StepAtDispatch"),
  report: TYPED.clone().registerVariable("step", "StepAtReport"),
};

const OPEN = {
  dispatch: withOpenRecords(STAGES.dispatch),
  report: withOpenRecords(STAGES.report),
};

function withOpenRecords(environment: Environment): Environment {
  return environment.clone().registerVariable("jobs", "dyn").registerVariable("steps", "dyn");
}

/** What is known of the names in the expressions of one job. Environments are made when first asked for. */
export class Names {
  readonly #known: KnownOutputs | null;
  /** What the job's matrix gives a value; null in a job without one. */
  readonly axes: ReadonlySet<string> | null;
  readonly #made = new Map<Site["stage"], Environment>();

  /** Without `known`, `jobs` and `steps` may hold anything. */
  constructor(known: KnownOutputs | null, axes: ReadonlySet<string> | null = null) {
    this.#known = known;
    this.axes = axes;
  }

  get areAllKnown(): boolean {
    return this.#known !== null;
  }

  /** The type of the expression's value, or what is wrong with it. */
  check(source: string, stage: Site["stage"]): { ok: true; type: CelType } | { ok: false; message: string } {
    const { valid, type, error } = this.#environment(stage).check(source);
    return valid && type !== undefined
      ? { ok: true, type }
      : { ok: false, message: error?.summary ?? "it has no type that fits" };
  }

  #environment(stage: Site["stage"]): Environment {
    if (!this.#known) return OPEN[stage];
    let made = this.#made.get(stage);
    if (!made) {
      made = withKnownRecords(STAGES[stage], this.#known);
      this.#made.set(stage, made);
    }
    return made;
  }
}

function withKnownRecords(base: Environment, { steps, jobs }: KnownOutputs): Environment {
  const environment = base.clone();
  const records = (
    name: string,
    common: Fields,
    plain: CelType,
    outputs: Iterable<readonly [string, Fields | null]>,
  ) => {
    const fields: Record<string, CelType> = {};
    let number = 0;
    for (const [key, types] of outputs) {
      // A key that is no identifier cannot stand behind a dot.
      if (!/^[A-Za-z_]\w*$/.test(key)) continue;
      if (types === null) fields[key] = plain;
      else {
        number += 1;
        environment.registerType(`${name}Outputs${number}`, { fields: { ...types } });
        environment.registerType(`${name}${number}`, { fields: { ...common, outputs: `${name}Outputs${number}` } });
        fields[key] = `${name}${number}`;
      }
    }
    environment.registerType(`${name}s`, { fields });
    return `${name}s`;
  };
  environment.registerVariable("steps", records("KnownStep", STEP_RECORD, "StepRecord", steps));
  environment.registerVariable("jobs", records("KnownJob", JOB_RECORD, "JobRecord", jobs));
  return environment;
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
