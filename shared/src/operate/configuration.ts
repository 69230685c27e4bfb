import { readFileSync, statSync } from "node:fs";
import { ConfigError, type ConfigOf, loadConfig, type Setting, type Settings } from "../config.ts";

const MAX_FILE_BYTES = 64 * 1024;
const READABLE_BY_OTHERS = 0o077;
const LINE = /^([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/;

/** Settings of which `configFile` names the file with the others. */
export type FileSettings = Settings & { readonly configFile: Setting };

export type Variables = Readonly<Record<string, string | undefined>>;

/**
 * The configuration: flags count most, then the environment, then the file that one of them names. Reads the file anew each
 * time. Throws ConfigError with everything that is wrong.
 */
export function readConfiguration<Definitions extends FileSettings>(
  settings: Definitions,
  env: Variables,
  flags: Variables,
): ConfigOf<Definitions> {
  return loadConfig(settings, readVariables(settings, env, flags));
}

/** The file that holds a secret setting; null when it came otherwise, or not at all. Throws as `readConfiguration`. */
export function secretFileOf(
  settings: FileSettings,
  { variable }: Setting,
  env: Variables,
  flags: Variables,
): string | null {
  const variables = readVariables(settings, env, flags);
  return variables[variable] ? null : variables[`${variable}_FILE`] || null;
}

function readVariables(settings: FileSettings, env: Variables, flags: Variables): Variables {
  const direct = { ...env, ...flags };
  const file = direct[settings.configFile.variable];
  if (file === undefined || file === "") return direct;
  return { ...readConfigurationFile(settings, file), ...withoutEmpty(direct) };
}

/** An empty variable counts as absent, so it does not hide what the file says. */
export function withoutEmpty(variables: Variables): Variables {
  return Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== undefined && value !== ""));
}

/** The variables of a file. Throws ConfigError; a secret may stand only in a file that nobody else can read. */
function readConfigurationFile(settings: FileSettings, file: string): Record<string, string> {
  let text: string;
  let mode: number;
  try {
    const found = statSync(file);
    if (found.size > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
    mode = found.mode;
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(`The configuration file ${file} cannot be read: ${(error as Error).message}.`);
  }
  const variables = parseConfigurationFile(settings, text, file);
  const secret = secretsOf(settings).find((variable) => variables[variable] !== undefined);
  if (secret !== undefined && (mode & READABLE_BY_OTHERS) !== 0) {
    throw new ConfigError(
      `The configuration file ${file} holds ${secret} and others may read it. Run "chmod 600 ${file}", or keep the secret in a file of its own and name it with ${secret}_FILE.`,
    );
  }
  return variables;
}

/**
 * `NAME=value` lines as in a systemd EnvironmentFile: blank lines and lines that start with "#" or ";" are skipped, one pair of
 * quotes around a value is taken off, nothing is expanded. Throws ConfigError that lists each wrong line.
 */
export function parseConfigurationFile(settings: FileSettings, text: string, file: string): Record<string, string> {
  const variables: Record<string, string> = {};
  const faults: string[] = [];
  const known = namesIn(settings);
  for (const [index, raw] of text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const match = LINE.exec(line);
    const name = match?.[1];
    if (name === undefined) faults.push(`line ${index + 1}: expected NAME=value`);
    else if (!known.has(name)) faults.push(`line ${index + 1}: ${name} is not a setting`);
    else if (Object.hasOwn(variables, name)) faults.push(`line ${index + 1}: ${name} is set a second time`);
    else variables[name] = unquote(match?.[2] ?? "");
  }
  if (faults.length > 0)
    throw new ConfigError(`The configuration file ${file} is not valid:\n  ${faults.join("\n  ")}`);
  return variables;
}

/** The variables that the file may set: all but the one that names it. */
function namesIn(settings: FileSettings): Set<string> {
  const names = new Set(Object.values(settings).map(({ variable }) => variable));
  for (const secret of secretsOf(settings)) names.add(`${secret}_FILE`);
  names.delete(settings.configFile.variable);
  return names;
}

function secretsOf(settings: Settings): string[] {
  return Object.values(settings).flatMap((entry) => (entry.secret ? [entry.variable] : []));
}

/** All variables of a systemd EnvironmentFile: the last of a name counts, and a line that sets none is skipped, as systemd does. */
export function parseEnvironmentFile(text: string): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const line of text.split(/\r?\n/)) {
    const [, name, value = ""] = LINE.exec(line.trim()) ?? [];
    if (name !== undefined) variables[name] = unquote(value);
  }
  return variables;
}

function unquote(value: string): string {
  const quote = value[0];
  const isQuoted = value.length >= 2 && (quote === '"' || quote === "'") && value.endsWith(quote);
  return isQuoted ? value.slice(1, -1) : value;
}
