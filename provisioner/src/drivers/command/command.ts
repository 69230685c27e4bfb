import { resolve } from "node:path";
import { parseDuration } from "@shipfox/shared/durations";
import { z } from "zod";
import { CALL_LIMIT_MS, type Driver } from "../driver.ts";
import { CommandProvider } from "./command-provider.ts";
import { type CommandMachine, machineSchema } from "./contract.ts";
import { Program } from "./program.ts";

/** Leaves room for SIGKILL and the last output. */
const MAX_TIME_LIMIT_MS = CALL_LIMIT_MS - 5_000;
const MIN_TIME_LIMIT_MS = 1_000;
const MAX_LIST_LAG_MS = 600_000;
const MAX_ARGUMENTS = 50;
const MAX_PASSED_NAMES = 50;
const MAX_PARALLEL = 64;

/** Our own variables may hold the provisioner's token. */
const variableName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, "expected the name of an environment variable")
  .refine((name) => !name.toUpperCase().startsWith("SHIPFOX_"), "variables of Shipfox are not handed on");

function duration(minMs: number, maxMs: number, byDefault: string) {
  const rule = `expected a duration from ${minMs / 1_000}s to ${maxMs / 1_000}s, for example ${byDefault}`;
  return z
    .string()
    .default(byDefault)
    .transform((text) => parseDuration(text) ?? Number.NaN)
    .refine((ms) => ms >= minMs && ms <= maxMs, rule);
}

const settingsSchema = z.strictObject({
  /** The program and its first arguments; a relative path starts at the folder of the templates file. */
  command: z.array(z.string().min(1)).min(1).max(MAX_ARGUMENTS),
  /** Variables of the daemon that the program gets too. */
  pass_env: z.array(variableName).max(MAX_PASSED_NAMES).default([]),
  /** Of one call, waiting for its turn included. Milliseconds when parsed. */
  time_limit: duration(MIN_TIME_LIMIT_MS, MAX_TIME_LIMIT_MS, "50s"),
  /** `listLagMs`. Milliseconds when parsed. */
  list_lag: duration(0, MAX_LIST_LAG_MS, "0s"),
  /** Programs that run side by side. */
  max_parallel: z.int().min(1).max(MAX_PARALLEL).default(8),
});

export type CommandSettings = z.infer<typeof settingsSchema>;
/** Any provider, through an operator's program: docs/provisioner.md says what it reads and answers. */
export const commandDriver: Driver<CommandSettings, CommandMachine> = {
  kind: "command",
  settingsSchema,
  machineSchema,
  sandboxes: ["host", "docker"],
  loopback: { leadsTo: "this-host", hint: "Only machines that share this host's network see it." },
  open: async (settings, { stateDir, baseDir }) => {
    const [path = "", ...args] = settings.command;
    const program = new Program({
      program: resolve(baseDir, path),
      args,
      stateDir,
      passedEnv: settings.pass_env,
      maxParallel: settings.max_parallel,
    });
    return new CommandProvider(program, { timeLimitMs: settings.time_limit, listLagMs: settings.list_lag });
  },
};
