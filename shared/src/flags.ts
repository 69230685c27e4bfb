import { parseArgs } from "node:util";
import { ConfigError, type Setting, type Settings } from "./config.ts";

/** The flag of a variable: `SHIPFOX_RUNNER_STATE_DIR` is `--state-dir`. Secrets have none, so that no token is ever in argv. */
function flagOf(variable: string): string {
  return variable
    .replace(/^SHIPFOX_(RUNNER_)?/, "")
    .toLowerCase()
    .replaceAll("_", "-");
}

export interface Flags {
  /** What the flags stand for, to be laid over the environment. */
  readonly variables: Record<string, string>;
  readonly words: string[];
  readonly help: boolean;
  readonly version: boolean;
  /** The values of the further options that were given. */
  readonly options: Readonly<Record<string, string | boolean>>;
}

/** Options of a command that are no settings, such as `json: { type: "boolean" }`. */
export type FurtherOptions = Readonly<Record<string, { readonly type: "string" | "boolean" }>>;

/** Reads the flags of a table of settings, and further ones. Throws ConfigError on an unknown flag. */
export function parseFlags(settings: Settings, argv: readonly string[], further: FurtherOptions = {}): Flags {
  const open = Object.values(settings).filter((setting) => !setting.secret);
  const options = Object.fromEntries(open.map(({ variable }) => [flagOf(variable), { type: "string" as const }]));
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: {
        ...options,
        ...further,
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "v" },
      },
      allowPositionals: true,
    });
    const variables: Record<string, string> = {};
    for (const { variable } of open) {
      const value = (values as Record<string, unknown>)[flagOf(variable)];
      if (typeof value === "string") variables[variable] = value;
    }
    return {
      variables,
      words: positionals,
      help: values.help === true,
      version: values.version === true,
      options: Object.fromEntries(
        Object.entries(values as Record<string, unknown>).flatMap(([name, value]) =>
          Object.hasOwn(further, name) && (typeof value === "string" || typeof value === "boolean")
            ? [[name, value] as const]
            : [],
        ),
      ),
    };
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}; --help lists the flags`);
  }
}

/** Flag, variable, help and default of every setting, for `--help`. */
export function describeSettings(settings: Settings): string {
  return Object.values(settings)
    .map((setting) => {
      const names = setting.secret
        ? `${setting.variable}, ${setting.variable}_FILE`
        : `--${flagOf(setting.variable)}, ${setting.variable}`;
      const fallback = defaultOf(setting);
      return `  ${names}\n      ${setting.help}${fallback === null ? "" : ` [${fallback}]`}`;
    })
    .join("\n");
}

/** The default as an operator would write it; null when there is none. */
export function defaultOf(setting: Setting): string | null {
  const parsed = setting.schema.safeParse(undefined);
  if (setting.secret || !parsed.success) return null;
  if (Array.isArray(parsed.data)) return parsed.data.join(",");
  return ["string", "number", "boolean"].includes(typeof parsed.data)
    ? `${parsed.data as string | number | boolean}`
    : null;
}
