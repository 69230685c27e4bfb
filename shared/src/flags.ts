import { parseArgs } from "node:util";
import { ConfigError, type Settings } from "./config.ts";

/** `SHIPFOX_RUNNER_LABELS` in table key form `labels` is the flag `--labels`; secrets have none, so that no token is ever in argv. */
function flagOf(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * Reads `--key value` flags of a table of settings. Returns the variables they stand for, to be laid over the
 * environment, and the positional words. Throws ConfigError on an unknown flag.
 */
export function parseFlags(
  settings: Settings,
  argv: readonly string[],
): { variables: Record<string, string>; words: string[]; help: boolean; version: boolean } {
  const open = Object.entries(settings).filter(([, setting]) => !setting.secret);
  const options = Object.fromEntries(open.map(([key]) => [flagOf(key), { type: "string" as const }]));
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: { ...options, help: { type: "boolean", short: "h" }, version: { type: "boolean", short: "v" } },
      allowPositionals: true,
    });
    const variables: Record<string, string> = {};
    for (const [key, setting] of open) {
      const value = values[flagOf(key)];
      if (typeof value === "string") variables[setting.variable] = value;
    }
    return { variables, words: positionals, help: values["help"] === true, version: values["version"] === true };
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}; --help lists the flags`);
  }
}

/** One line a setting: flag, variable, help, default. */
export function describeSettings(settings: Settings): string {
  const rows = Object.entries(settings).map(([key, setting]) => {
    const fallback = setting.secret ? undefined : setting.schema.safeParse(undefined);
    const shown =
      fallback?.success && fallback.data !== undefined && fallback.data !== null ? ` [${String(fallback.data)}]` : "";
    return [setting.secret ? "" : `--${flagOf(key)}`, setting.variable, `${setting.help}${shown}`] as const;
  });
  const flagWidth = Math.max(...rows.map(([flag]) => flag.length));
  const variableWidth = Math.max(...rows.map(([, variable]) => variable.length));
  return rows
    .map(([flag, variable, help]) => `  ${flag.padEnd(flagWidth)}  ${variable.padEnd(variableWidth)}  ${help}`)
    .join("\n");
}
