import { UsageError } from "@shipfox/shared/config";
import { type ExplainedSetting, explainSettings, type Flags } from "@shipfox/shared/flags";
import { nearest } from "@shipfox/shared/nearest";
import { type Output, renderTable } from "@shipfox/shared/operate/output";
import { SETTINGS } from "../config.ts";
import { unknownSettings } from "../unknown-settings.ts";

export const CONFIG_OPTIONS = { json: { type: "boolean" } } as const;

/**
 * All settings as a server started so would have them, or one with its help; secrets are masked. Throws UsageError for a
 * variable that is none.
 */
export function configCommand(
  { words: [, name], variables, options }: Pick<Flags, "words" | "variables" | "options">,
  env: Readonly<Record<string, string | undefined>>,
  output: Output,
): void {
  for (const unknown of unknownSettings(env)) output.note(unknown);
  const all = explainSettings(SETTINGS, env, variables);
  const chosen = name === undefined ? all : [one(all, name)];
  if (options["json"] === true) output.print(JSON.stringify({ settings: chosen }, null, 2));
  else if (name === undefined) output.print(table(output, all));
  else output.print(chosen.map(explained).join("\n"));
}

/** Called by its variable, in any case, or by its flag without the dashes. */
function one(all: readonly ExplainedSetting[], name: string): ExplainedSetting {
  const setting = all.find(({ variable, flag }) => variable === name.toUpperCase() || flag === `--${name}`);
  if (setting) return setting;
  const variables = all.map(({ variable }) => variable);
  const near = nearest(name.toUpperCase(), variables);
  const hint = near === null ? "" : ` did you mean ${near}?`;
  throw new UsageError(`there is no setting ${name};${hint} shipfox-control-plane config lists all`);
}

function table(output: Output, settings: readonly ExplainedSetting[]): string {
  return renderTable(
    output,
    ["VARIABLE", "SOURCE", "VALUE"],
    settings.map(({ variable, value, source }) => [
      { text: variable },
      { text: source, ...(source === "default" || source === "unset" ? { color: "dim" as const } : {}) },
      { text: value ?? "-" },
    ]),
  );
}

function explained({ variable, value, source, flag, help }: ExplainedSetting): string {
  return [
    `${variable}=${value ?? ""}`,
    `  from: ${source}`,
    `  flag: ${flag ?? `none, because everybody on the machine could read it; ${variable}_FILE names a file that holds it`}`,
    `  ${help}`,
  ].join("\n");
}
