import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";

const DEFAULT_RUNS = { runners: 1_000, provisioner: 500 };
const MAX_RUNS = 1_000_000;
const MAX_SEED = 2 ** 32 - 1;

export const SOAK_HELP = `Runs many small jobs while the processes that run them are killed with -9 at random, then accounts for every run,
execution and line, and for what is left behind. Exits with 1 when anything is lost, doubled or left.

  scripts/soak [--runs N] [--sandbox host|docker|mixed] [--seed N] [--write]
  scripts/soak provisioner [--runs N] [--seed N] [--write]

Without a word standing runners and the control plane are killed. With "provisioner" each job has a machine of its own:
the provisioner, the control plane and the runners are killed, and the provider of machines fails at random too.

  --runs N      how many runs, default ${DEFAULT_RUNS.runners}; of the provisioner ${DEFAULT_RUNS.provisioner}
  --sandbox     where jobs run: host (the default), docker, or mixed: one of three runners on Docker
  --seed N      the order of kills; the one of a former soak repeats its choices, not its timing
  --write       puts the result into docs/reliability.md
`;

export interface SoakOptions {
  readonly runs: number;
  /** A whole number of 32 bits. */
  readonly seed: number;
}

export interface RunnerSoakOptions extends SoakOptions {
  readonly sandbox: "host" | "docker" | "mixed";
}

export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface SoakCommand extends RunnerSoakOptions {
  readonly kind: "runners" | "provisioner";
  readonly write: boolean;
  readonly help: boolean;
}

/** Throws UsageError. */
export function readSoakCommand(args: readonly string[]): SoakCommand {
  const { values, positionals } = parsed(args);
  const [word, ...more] = positionals;
  if ((word !== undefined && word !== "provisioner") || more.length > 0)
    throw new UsageError(`the only word is "provisioner", not ${positionals.join(" ")}`);
  const kind = word ?? "runners";
  if (kind === "provisioner" && values.sandbox !== undefined)
    throw new UsageError("the soak of the provisioner has no --sandbox: its machines are the sandbox");
  const { sandbox = "host" } = values;
  if (sandbox !== "host" && sandbox !== "docker" && sandbox !== "mixed")
    throw new UsageError(`--sandbox is host, docker or mixed, not ${sandbox}`);
  return {
    kind,
    runs: values.runs === undefined ? DEFAULT_RUNS[kind] : wholeNumber("--runs", values.runs, 1, MAX_RUNS),
    seed: values.seed === undefined ? randomSeed() : wholeNumber("--seed", values.seed, 0, MAX_SEED),
    sandbox,
    write: values.write,
    help: values.help,
  };
}

export function randomSeed(): number {
  return randomInt(MAX_SEED + 1);
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        runs: { type: "string" },
        sandbox: { type: "string" },
        seed: { type: "string" },
        write: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function wholeNumber(name: string, text: string, minimum: number, maximum: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < minimum || value > maximum)
    throw new UsageError(`${name} is a whole number from ${minimum} to ${maximum}, not ${text}`);
  return value;
}
