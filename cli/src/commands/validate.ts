import { resolve } from "node:path";
import type { Client } from "@shipfox/client";
import { type Diagnostic, MAX_WORKFLOW_CHARS } from "@shipfox/shared/api/definitions";
import type { Command } from "commander";
import { type CommandContext, finishCommand, type JsonOption } from "../command-context.ts";
import { EXIT } from "../exit-codes.ts";
import { readTextFile } from "../read-file.ts";
import { renderDiagnostic } from "../render/diagnostics.ts";
import { withProgress } from "../render/progress.ts";
import { openSession } from "../session.ts";
import { findWorkflowFiles, placeInRepository, readCalled, WORKFLOW_FOLDER } from "../workflow-files.ts";

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

/** Checks the text of a file. */
type Check = (source: string, file: string) => Findings | Promise<Findings>;

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
  const check = options.server ? checkByServer((await openSession(context.env)).api) : await checkHere(context.cwd);
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
    checked.push({ file, source, ...(faultOfSize(source) ?? (await check(source, file))) });
  }
  return checked;
}

/**
 * Checks a file with those that it calls, of the same folder of workflows. Loaded when it is needed: the language takes
 * longer to load than most commands take.
 */
async function checkHere(cwd: string): Promise<Check> {
  const { CallLinker, parseWorkflow } = await import("@shipfox/control-plane/workflow");
  const linkers = new Map<string, InstanceType<typeof CallLinker>>();
  const linkerOf = (folder: string) => {
    const known = linkers.get(folder);
    if (known) return known;
    const linker = new CallLinker((path) => {
      const source = readCalled(folder, path);
      const read = source === null ? undefined : parseWorkflow(source);
      return read?.ok ? { ok: true, plan: read.model } : read;
    });
    linkers.set(folder, linker);
    return linker;
  };
  return (source, file) => {
    const result = parseWorkflow(source);
    if (!result.ok) return { errors: result.diagnostics, warnings: [] };
    const { folder, path } = placeInRepository(resolve(cwd, file));
    const linked = linkerOf(folder).link(result.model, path);
    if (!linked.ok) return { errors: [...linked.diagnostics], warnings: [] };
    return { errors: [], warnings: [...result.warnings, ...linked.notRunnable, ...result.notRunnable] };
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
