import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const ROOT = resolve(import.meta.dirname, "../../..");

// The tables are read as data from where they lie, so that the docs cannot tell another story than `--help`.
const ERRORS_FILE = "shared/src/errors.ts";
const ROLES_FILE = "shared/src/api/workspaces.ts";
const ABILITIES_FILE = "control-plane/src/http/abilities.ts";
const METRICS_FILE = "control-plane/src/metrics/table.ts";
const PARTS = [
  { title: "Control plane", command: "shipfox-control-plane", config: "control-plane/src/config.ts" },
  { title: "Runner", command: "shipfox-runner", config: "runner/src/config.ts" },
  { title: "Provisioner", command: "shipfox-provisioner", config: "provisioner/src/config.ts" },
];

/** Defaults that differ from machine to machine. */
const DEFAULTS_IN_WORDS: Record<string, string> = {
  SHIPFOX_RUNNER_LABELS: "`linux,` and the architecture, such as `x64`",
  SHIPFOX_PROVISIONER_STATE_DIR: "`/var/lib/shipfox-provisioner` for root, else `~/.local/state/shipfox-provisioner`",
  SHIPFOX_RUNNER_NAME: "the host's name",
  SHIPFOX_RUNNER_STATE_DIR: "`/var/lib/shipfox-runner` for root, else `~/.local/state/shipfox-runner`",
};

interface Setting {
  readonly variable: string;
  readonly help: string;
  readonly secret?: boolean;
  readonly schema: { safeParse(value: undefined): { success: boolean; data?: unknown } };
}
interface Scenario {
  readonly number: number;
  readonly fault: string;
  readonly promise: string;
}
interface Attack {
  readonly number: number;
  readonly attack: string;
  readonly defence: string;
}
interface AbilityTables {
  readonly ABILITIES: Record<string, readonly [role: string, minting: string, meaning: string]>;
}
type MetricTable = Record<string, readonly [type: string, labels: string, meaning: string]>;
type ErrorCodes = Record<string, readonly [status: number, meaning: string]>;

const FAULTS_PLACE = /(<!-- faults:begin[^>]*-->\n)[^]*(\n<!-- faults:end -->)/;
const ATTACKS_PLACE = /(<!-- attacks:begin[^>]*-->\n)[^]*(\n<!-- attacks:end -->)/;
const ABILITIES_PLACE = /(<!-- abilities:begin[^>]*-->\n)[^]*(\n<!-- abilities:end -->)/;
const METRICS_PLACE = /(<!-- metrics:begin[^>]*-->\n)[^]*(\n<!-- metrics:end -->)/;
const MARK = "<!-- Made by `node scripts/render-docs.ts`; edit its sources. -->";

export interface RenderedDoc {
  /** Absolute. */
  readonly file: string;
  readonly text: string;
}

/** The pages of docs/ that are made from the sources, wholly or in part. */
export async function renderDocs(): Promise<RenderedDoc[]> {
  return [
    { file: join(ROOT, "docs/configuration.md"), text: await renderConfiguration() },
    { file: join(ROOT, "docs/errors.md"), text: await renderErrors() },
    { file: join(ROOT, "docs/access.md"), text: await renderAccess() },
    { file: join(ROOT, "docs/reliability.md"), text: await renderReliability() },
    { file: join(ROOT, "docs/security.md"), text: await renderSecurity() },
    { file: join(ROOT, "docs/operate.md"), text: await renderOperate() },
  ];
}

async function renderConfiguration(): Promise<string> {
  const sections = await Promise.all(
    PARTS.map(async ({ title, command, config }) => {
      const { SETTINGS } = await readTables<{ SETTINGS: Record<string, Setting> }>(config);
      return `## ${title}: \`${command}\`\n\n${settingsTable(Object.values(SETTINGS))}\n`;
    }),
  );
  return `${MARK}
# Configuration

Every setting is an environment variable, and all but secrets are also flags; \`--help\` of the command shows their names.
A flag counts more than the variable. A wrong value stops the start with a message that lists all that are wrong.
A wrong flag is named, and the control plane and the provisioner exit with 64, the runner with 2. A daemon that refuses a setting exits
with 78: starting it again does not help.

A secret never stands on a command line. Each can also be read from a file: \`<VARIABLE>_FILE\` names it.

\`shipfox-control-plane config\` shows each value as the control plane would have it, started with the same flags and variables,
and where it comes from; secrets are masked. \`shipfox-control-plane config SHIPFOX_PUBLIC_URL\` explains one; \`--json\`.

${sections.join("\n")}
## CLI: \`shipfox\`

See [cli.md](cli.md#environment).
`;
}

async function renderAccess(): Promise<string> {
  const { ROLES } = await readTables<{ ROLES: readonly string[] }>(ROLES_FILE);
  const { ABILITIES } = await readTables<AbilityTables>(ABILITIES_FILE);
  const rows = Object.entries(ABILITIES).map(([ability, [weakest, minting, meaning]]) => {
    const marks = ROLES.map((role) => (ROLES.indexOf(role) >= ROLES.indexOf(weakest) ? "x" : ""));
    return `| \`${ability}\`${minting === "sensitive" ? " *" : ""} | ${marks.join(" | ")} | ${meaning} |`;
  });
  return await fillPlace("docs/access.md", ABILITIES_PLACE, [
    `| Ability | ${ROLES.join(" | ")} | |`,
    `|---|${"---|".repeat(ROLES.length)}---|`,
    ...rows,
  ]);
}

async function renderReliability(): Promise<string> {
  const { SCENARIOS } = await readTables<{ SCENARIOS: readonly Scenario[] }>("e2e/faults/scenarios.ts");
  const rows = SCENARIOS.map(({ number, fault, promise }) => `| ${number} | ${fault} | ${promise} |`);
  return await fillPlace("docs/reliability.md", FAULTS_PLACE, ["| # | Fault | What holds |", "|---|---|---|", ...rows]);
}

async function renderSecurity(): Promise<string> {
  const { ATTACKS } = await readTables<{ ATTACKS: readonly Attack[] }>("e2e/security/attacks.ts");
  const rows = ATTACKS.map(({ number, attack, defence }) => `| ${number} | ${attack} | ${defence} |`);
  return await fillPlace("docs/security.md", ATTACKS_PLACE, ["| # | Attack | Defence |", "|---|---|---|", ...rows]);
}

async function renderOperate(): Promise<string> {
  const { METRICS } = await readTables<{ METRICS: MetricTable }>(METRICS_FILE);
  const rows = Object.entries(METRICS).map(
    ([name, [type, labels, meaning]]) => `| \`${name}\` | ${type} | ${labels} | ${meaning} |`,
  );
  const head = ["| Metric | Type | Labels | |", "|---|---|---|---|"];
  return fillPlace("docs/operate.md", METRICS_PLACE, [...head, ...rows]);
}

/** The page with `lines` between the marks that `place` matches. */
async function fillPlace(file: string, place: RegExp, lines: readonly string[]): Promise<string> {
  const page = await readFile(join(ROOT, file), "utf8");
  return page.replace(place, (_, begin: string, end: string) => `${begin}\n${lines.join("\n")}\n${end}`);
}

async function readTables<Tables>(file: string): Promise<Tables> {
  return (await import(pathToFileURL(join(ROOT, file)).href)) as Tables;
}

function settingsTable(settings: readonly Setting[]): string {
  const rows = settings.map((entry) => {
    const secret = entry.secret === true ? " Secret." : "";
    return `| \`${entry.variable}\` | ${describeDefault(entry)} | ${sentence(entry.help)}${secret} |`;
  });
  return ["| Variable | Default | |", "|---|---|---|", ...rows].join("\n");
}

function describeDefault({ variable, schema, secret }: Setting): string {
  const inWords = DEFAULTS_IN_WORDS[variable];
  if (inWords !== undefined) return inWords;
  const fallback = secret === true ? undefined : schema.safeParse(undefined).data;
  const isPlain = typeof fallback === "string" || typeof fallback === "number" || typeof fallback === "boolean";
  return isPlain && fallback !== "" ? `\`${fallback}\`` : "none";
}

function sentence(help: string): string {
  const text = help.replaceAll("|", "\\|");
  return text.endsWith(".") ? text : `${text}.`;
}

async function renderErrors(): Promise<string> {
  const { ERROR_CODES } = await readTables<{ ERROR_CODES: ErrorCodes }>(ERRORS_FILE);
  const rows = Object.entries(ERROR_CODES).map(
    ([code, [status, meaning]]) => `| \`${code}\` | ${status} | ${meaning} |`,
  );
  return `${MARK}
# Errors

Every error of the API is \`{"code", "message", "details"?}\`. \`code\` is one of this table and never changes its meaning;
\`message\` is one sentence for people: what was wrong, what was expected, what to do. How faults of a workflow file are
told is in [workflows.md](workflows.md#diagnostics).

| Code | Status | Meaning |
|---|---|---|
${rows.join("\n")}
`;
}
