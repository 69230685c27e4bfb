import { readFileSync } from "node:fs";
import { z } from "zod";

const MAX_SHOWN_CHARS = 200;

/** One setting: its environment variable, its schema (with default) and one line of help. */
export interface Setting<Schema extends z.ZodType = z.ZodType> {
  readonly variable: string;
  readonly schema: Schema;
  readonly help: string;
  /** A secret is never printed and never taken from argv; `<variable>_FILE` names a file that holds it. */
  readonly secret?: boolean;
  /** A list: its flag may be given several times, which is the same as its values separated by commas. */
  readonly repeatable?: boolean;
}

export type Settings = Record<string, Setting>;
export type ConfigOf<Definitions extends Settings> = {
  [Key in keyof Definitions]: z.output<Definitions[Key]["schema"]>;
};

export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** A command line that is not as it must be: an unknown flag or command, or a flag without its value. */
export class UsageError extends ConfigError {}

export function setting<Schema extends z.ZodType>(
  variable: string,
  schema: Schema,
  help: string,
  options: { secret?: boolean; repeatable?: boolean } = {},
): Setting<Schema> {
  return { variable, schema, help, ...options };
}

/**
 * Reads every setting from `env`. An empty variable counts as absent. Throws ConfigError that lists every wrong
 * variable, what was expected and its help, so that an operator corrects them in one go.
 */
export function loadConfig<Definitions extends Settings>(
  definitions: Definitions,
  env: Record<string, string | undefined>,
): ConfigOf<Definitions> {
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const [key, definition] of Object.entries(definitions)) {
    try {
      const raw = rawValue(definition, env);
      const result = definition.schema.safeParse(raw);
      if (result.success) values[key] = result.data;
      else faults.push(describeFault(definition, raw, result.error.issues[0]?.message ?? "invalid"));
    } catch (error) {
      faults.push(`${definition.variable}_FILE: ${(error as Error).message}`);
    }
  }
  if (faults.length > 0) throw new ConfigError(`The configuration is not valid:\n  ${faults.join("\n  ")}`);
  return values as ConfigOf<Definitions>;
}

function rawValue(definition: Setting, env: Record<string, string | undefined>): string | undefined {
  const direct = env[definition.variable];
  if (direct !== undefined && direct !== "") return direct;
  const file = definition.secret ? env[`${definition.variable}_FILE`] : undefined;
  return file ? readSecretFile(file) : undefined;
}

function describeFault({ variable, secret, help }: Setting, raw: string | undefined, fault: string): string {
  const found = raw === undefined || secret ? "" : `, but it is ${JSON.stringify(raw.slice(0, MAX_SHOWN_CHARS))}`;
  return `${variable}: ${fault}${found} (${help})`;
}

/** Throws with a sentence that does not show what is in the file. */
function readSecretFile(file: string): string {
  let secret: string;
  try {
    secret = readFileSync(file, "utf8").trim();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new Error(`there is no file ${file}; make it, or correct the path`);
    if (code === "EISDIR") throw new Error(`${file} is a folder, not a file; name the file in it`);
    if (code === "EACCES") throw new Error(`this user may not read ${file}; give it the file, or start as its owner`);
    throw new Error(`${file} cannot be read: ${message}`);
  }
  if (secret === "") throw new Error(`the file ${file} is empty; write the secret into it, or unset the variable`);
  return secret;
}

/** Schemas for values that come as text. */
export const text = {
  integer: (minimum: number, maximum: number, fallback: number) =>
    z.coerce.number({ error: "expected a whole number" }).int().min(minimum).max(maximum).default(fallback),
  boolean: (fallback: boolean) =>
    z
      .enum(["true", "false", "1", "0"], { error: "expected true or false" })
      .default(fallback ? "true" : "false")
      .transform((value) => value === "true" || value === "1"),
  list: (fallback: string) =>
    z
      .string()
      .default(fallback)
      .transform((value) =>
        value
          .split(",")
          .map((part) => part.trim())
          .filter((part) => part !== ""),
      ),
  logLevel: () => z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
};
