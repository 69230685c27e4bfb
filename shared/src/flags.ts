import { parseArgs } from "node:util";
import { type Setting, type Settings, UsageError } from "./config.ts";
import { nearest } from "./nearest.ts";

/** The flag of a variable: `SHIPFOX_RUNNER_STATE_DIR` is `--state-dir`. Secrets have none, so that no token is ever in argv. */
function flagOf(variable: string): string {
  return variable
    .replace(/^SHIPFOX_(RUNNER_|PROVISIONER_)?/, "")
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

/** Reads the flags of a table of settings, and further ones. Throws UsageError on an unknown flag and on a missing value. */
export function parseFlags(settings: Settings, argv: readonly string[], further: FurtherOptions = {}): Flags {
  const open = Object.values(settings).filter((setting) => !setting.secret);
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {
    ...Object.fromEntries(open.map(({ variable }) => [flagOf(variable), { type: "string" as const }])),
    ...further,
    help: { type: "boolean", short: "h" },
    version: { type: "boolean", short: "v" },
  };
  const repeatable = new Set(open.filter((one) => one.repeatable).map(({ variable }) => flagOf(variable)));
  const { tokens } = parseArgs({ args: [...argv], options, allowPositionals: true, strict: false, tokens: true });
  const values: Record<string, string | boolean> = {};
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind !== "option") continue;
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    if (option === undefined) throw new UsageError(unknownFlag(token.rawName, settings, Object.keys(options)));
    if (option.type === "boolean" && token.value !== undefined)
      throw new UsageError(`${token.rawName} takes no value; --help lists the flags`);
    const isMissing = token.value === undefined || (token.inlineValue === false && token.value.startsWith("-"));
    if (option.type === "string" && isMissing)
      throw new UsageError(`${token.rawName} needs a value, such as ${token.rawName}=value; --help lists the flags`);
    const former = repeatable.has(token.name) ? values[token.name] : undefined;
    values[token.name] = former === undefined ? (token.value ?? true) : `${former},${token.value}`;
  }
  const variables: Record<string, string> = {};
  for (const { variable } of open) {
    const value = values[flagOf(variable)];
    if (typeof value === "string") variables[variable] = value;
  }
  return {
    variables,
    words,
    help: values["help"] === true,
    version: values["version"] === true,
    options: Object.fromEntries(Object.entries(values).filter(([name]) => Object.hasOwn(further, name))),
  };
}

function unknownFlag(flag: string, settings: Settings, known: readonly string[]): string {
  const name = flag.replace(/^-+/, "");
  const secret = Object.values(settings).find((setting) => setting.secret && flagOf(setting.variable) === name);
  if (secret !== undefined) {
    return `there is no flag ${flag}, because everybody on the machine could read the secret; set ${secret.variable}, or ${secret.variable}_FILE to a file that holds it`;
  }
  const near = nearest(name, known);
  return `there is no flag ${flag};${near === null ? "" : ` did you mean --${near}?`} --help lists the flags`;
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

/** One setting as a program has it. */
export interface ExplainedSetting {
  readonly variable: string;
  /** As an operator would write it; null when there is none, and a mask for a secret that is set. */
  readonly value: string | null;
  readonly source: "flag" | "environment" | "file" | "default" | "unset";
  /** Null for a secret, which never is one. */
  readonly flag: string | null;
  readonly help: string;
}

const MASK = "********";

/** Every setting with its value and where that comes from. `flags` are those of `parseFlags`, laid over `env`. */
export function explainSettings(
  settings: Settings,
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, string>>,
): ExplainedSetting[] {
  return Object.values(settings).map((setting) => {
    const { variable, help, secret = false } = setting;
    const flag = secret ? null : `--${flagOf(variable)}`;
    return { variable, flag, help, ...valueOf(setting, env, flags) };
  });
}

/** An empty variable counts as absent, as it does when the settings are read. */
function valueOf(
  setting: Setting,
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, string>>,
): Pick<ExplainedSetting, "value" | "source"> {
  const { variable, secret = false } = setting;
  const shown = (text: string) => (secret ? MASK : text);
  const fromFlag = flags[variable];
  if (fromFlag) return { value: shown(fromFlag), source: "flag" };
  const fromEnvironment = fromFlag === undefined ? env[variable] : undefined;
  if (fromEnvironment) return { value: shown(fromEnvironment), source: "environment" };
  if (secret && env[`${variable}_FILE`]) return { value: MASK, source: "file" };
  const fallback = defaultOf(setting);
  return fallback === null || fallback === ""
    ? { value: null, source: "unset" }
    : { value: fallback, source: "default" };
}
