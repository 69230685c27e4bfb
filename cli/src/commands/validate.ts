import type { Client } from "@shipfox/client";
import { type Diagnostic, MAX_WORKFLOW_CHARS } from "@shipfox/shared/api/definitions";
import type { Command } from "commander";
import { type CommandContext, finishCommand, type JsonOption } from "../command-context.ts";
import { EXIT } from "../exit-codes.ts";
import { readTextFile } from "../read-file.ts";
import { renderDiagnostic } from "../render/diagnostics.ts";
import { withProgress } from "../render/progress.ts";
import { openSession } from "../session.ts";
import { findWorkflowFiles, WORKFLOW_FOLDER } from "../workflow-files.ts";

interface Findings {
  errors: Diagnostic[];
  warnings: Diagnostic[];
}

interface Checked extends Findings {
  file: string;
  source: string;
}

interface ValidateOptions extends JsonOption {
  server?: boolean;
}

/** Checks the text of one file. */
type Check = (source: string) => Findings | Promise<Findings>;

export function registerValidate(program: Command, context: CommandContext): void {
  const command = program
    .command("validate")
    .description("check workflow files, without a control plane; exit 1 when one has a fault")
    .argument("[files...]", `files or folders to check (default: ${WORKFLOW_FOLDER})`)
    .option("--server", "let the control plane check them, with its defaults")
    .action((files: string[], options: ValidateOptions) => validate(context, files, options));
  finishCommand(
    command,
    "shipfox validate",
    "shipfox validate .shipfox/workflows/ci.yml other/folder",
    "shipfox validate --json",
    "shipfox validate --server",
  );
}

async function validate(context: CommandContext, named: string[], options: ValidateOptions): Promise<void> {
  const files = await findWorkflowFiles(context.cwd, named);
  const sources = await Promise.all(files.map((file) => readTextFile(context.cwd, file, "shipfox validate --help")));
  const check = options.server ? checkByServer((await openSession(context.env)).api) : await checkHere();
  const checked = await withProgress(context.terminal, `Checking ${files.length} file(s)`, () =>
    checkAll(check, files, sources),
  );
  const faulty = checked.filter((result) => result.errors.length > 0);
  if (faulty.length > 0) context.exitCode = EXIT.failed;
  if (options.json) {
    const rows = checked.map(({ file, errors, warnings }) => ({ file, valid: errors.length === 0, errors, warnings }));
    await context.terminal.print(JSON.stringify({ valid: faulty.length === 0, files: rows }, null, 2));
  } else await context.terminal.print(describe(context, checked));
}

async function checkAll(check: Check, files: readonly string[], sources: readonly string[]): Promise<Checked[]> {
  const checked: Checked[] = [];
  for (const [index, file] of files.entries()) {
    const source = sources[index] ?? "";
    checked.push({ file, source, ...(faultOfSize(source) ?? (await check(source))) });
  }
  return checked;
}

/** Loaded when it is needed: the language takes longer to load than most commands take. */
async function checkHere(): Promise<Check> {
  const { parseWorkflow } = await import("@shipfox/control-plane/workflow");
  return (source) => {
    const result = parseWorkflow(source);
    if (!result.ok) return { errors: result.diagnostics, warnings: [] };
    return { errors: [], warnings: [...result.warnings, ...result.notRunnable] };
  };
}

function checkByServer(api: Client): Check {
  return async (source) => {
    const reply = await api.definitions.validate({ yaml: source });
    if (!reply.valid) return { errors: reply.errors, warnings: [] };
    return { errors: [], warnings: [...reply.warnings, ...reply.not_runnable] };
  };
}

/** What the API would refuse as a request rather than as a workflow. */
function faultOfSize(source: string): Findings | null {
  const fault = (code: string, message: string) => ({
    errors: [{ code, message, path: "(root)", line: 1, column: 1 }],
    warnings: [],
  });
  if (source === "") return fault("invalid-workflow-yaml", "the file is empty");
  if (source.length > MAX_WORKFLOW_CHARS) {
    return fault(
      "workflow-too-large",
      `the file has ${source.length} characters; at most ${MAX_WORKFLOW_CHARS} are allowed`,
    );
  }
  return null;
}

function describe(context: CommandContext, checked: readonly Checked[]): string {
  const { colors, columns } = context.terminal;
  const excerpt = Number.isFinite(columns);
  const blocks = checked.flatMap(({ file, source, errors, warnings }) => [
    ...errors.map((fault) => renderDiagnostic(file, source, fault, { severity: "error", colors, excerpt })),
    ...warnings.map((fault) => renderDiagnostic(file, source, fault, { severity: "warning", colors, excerpt })),
    ...(errors.length === 0 ? [`${colors.green("✓")} ${file}`] : []),
  ]);
  const faults = checked.reduce((sum, result) => sum + result.errors.length, 0);
  if (faults > 0) blocks.push(colors.red(`${faults} fault(s) in ${checked.length} file(s)`));
  return blocks.join("\n");
}
