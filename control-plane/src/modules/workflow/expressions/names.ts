import type { Environment } from "@marcbachmann/cel-js";
import type { Reference } from "./cel.ts";
import type { Site } from "./contexts.ts";
import { type CelType, type Fields, JOB_RECORD, OPEN, STAGES, STEP_RECORD } from "./types.ts";

/** By source key; null for those that declare no outputs. */
type Records = ReadonlyMap<string, Fields | null>;

const MAX_ENVIRONMENTS = 200;
/** Of one expression that shares its environment with others. */
const MAX_KEYS = 8;

/** Keys of jobs and steps whose outputs are known, for an expression that is checked in full. */
export interface KnownOutputs {
  /** Every keyed step of the job, with the types of its declared outputs. */
  readonly steps: Records;
  /** The direct needs of the job; null for those that publish none. */
  readonly jobs: Records;
}

type Checked = { ok: true; type: CelType } | { ok: false; message: string };

/** What is known of the names in the expressions of one job. */
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

  /** The type of the expression's value, or what is wrong with it. `references` are the names that it reads. */
  check(source: string, stage: Site["stage"], references: readonly Reference[]): Checked {
    if (!this.#known) return checkIn(OPEN[stage], source);
    const alike = withoutKeys(source, references, this.#known);
    const checked = alike ? checkIn(environmentOf(stage, alike.records), alike.source) : null;
    // A complaint is about the expression as it was written.
    return checked?.ok ? checked : checkIn(this.#environment(stage, this.#known), source);
  }

  #environment(stage: Site["stage"], known: KnownOutputs): Environment {
    let made = this.#made.get(stage);
    if (!made) {
      made = withRecords(STAGES[stage], known);
      this.#made.set(stage, made);
    }
    return made;
  }
}

function checkIn(environment: Environment, source: string): Checked {
  const { valid, type, error } = environment.check(source);
  return valid && type !== undefined
    ? { ok: true, type }
    : { ok: false, message: error?.summary ?? "it has no type that fits" };
}

/**
 * The expression with `key0`, `key1`, … in the places of the keys of jobs and steps, and their records under these: what
 * `jobs.build.outputs.v` and `jobs.test.outputs.v` have in common. Null when a key is not known or not written with a dot,
 * or when there are many.
 */
function withoutKeys(
  source: string,
  references: readonly Reference[],
  known: KnownOutputs,
): { source: string; records: KnownOutputs } | null {
  const records = { steps: new Map<string, Fields | null>(), jobs: new Map<string, Fields | null>() };
  const names = new Map<string, string>();
  let renamed = "";
  let position = 0;
  for (const { name, keys, firstKeyEnd } of references.toSorted((a, b) => a.firstKeyEnd - b.firstKeyEnd)) {
    if (name !== "steps" && name !== "jobs") continue;
    const [key] = keys;
    const outputs = key === undefined ? undefined : known[name].get(key);
    if (key === undefined || outputs === undefined) return null;
    const named = names.get(`${name}.${key}`) ?? `key${names.size}`;
    names.set(`${name}.${key}`, named);
    if (names.size > MAX_KEYS) return null;
    records[name].set(named, outputs);
    renamed += source.slice(position, firstKeyEnd - key.length) + named;
    position = firstKeyEnd;
  }
  return { source: renamed + source.slice(position), records };
}

/** Shared by all workflows: the environment of an expression costs more than all else about it. */
const environments = new Map<string, Environment>();

function environmentOf(stage: Site["stage"], { steps, jobs }: KnownOutputs): Environment {
  const records = JSON.stringify([stage, [...steps], [...jobs]]);
  let environment = environments.get(records);
  if (!environment) {
    environment = withRecords(STAGES[stage], { steps, jobs });
    if (environments.size >= MAX_ENVIRONMENTS) environments.clear();
    environments.set(records, environment);
  }
  return environment;
}

/** Stands for values that are never made: without it the library makes a class for each type. */
class NeverMade {}

function withRecords(base: Environment, { steps, jobs }: KnownOutputs): Environment {
  const environment = base.clone();
  const register = (name: string, fields: Record<string, CelType>) =>
    environment.registerType(name, { ctor: NeverMade, fields });
  const registerRecords = (name: string, common: Fields, plain: CelType, outputs: Records) => {
    const fields: Record<string, CelType> = {};
    let number = 0;
    for (const [key, types] of outputs) {
      // A key that is no identifier cannot stand behind a dot.
      if (!/^[A-Za-z_]\w*$/.test(key)) continue;
      if (types === null) fields[key] = plain;
      else {
        number += 1;
        register(`${name}Outputs${number}`, { ...types });
        register(`${name}${number}`, { ...common, outputs: `${name}Outputs${number}` });
        fields[key] = `${name}${number}`;
      }
    }
    register(`${name}s`, fields);
    return `${name}s`;
  };
  environment.registerVariable("steps", registerRecords("KnownStep", STEP_RECORD, "StepRecord", steps));
  environment.registerVariable("jobs", registerRecords("KnownJob", JOB_RECORD, "JobRecord", jobs));
  return environment;
}
