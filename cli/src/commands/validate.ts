import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "@shipfox/client";
import { type Diagnostic, MAX_WORKFLOW_CHARS } from "@shipfox/shared/api/definitions";
import type { Command } from "commander";
import { usageError } from "../cli-error.ts";
import { type CommandContext, finishCommand, type JsonOption } from "../command-context.ts";
import { EXIT } from "../exit-codes.ts";
import { readTextFile } from "../read-file.ts";
import { renderDiagnostic } from "../render/diagnostics.ts";
import { withProgress } from "../render/progress.ts";
import { openSession } from "../session.ts";

const WORKFLOW_FOLDER = ".shipfox/workflows";

interface Checked {
  file: string;
  source: string;
  errors: Diagnostic[];
  warnings: Diagnostic[];
}

export function registerValidate(program: Command, context: CommandContext): void {
  const command = program
    .command("validate")
    .description("check workflow files with the control plane; exit 1 when one has a fault")
    .argument("[files...]", `files to check (default: ${WORKFLOW_FOLDER}/*.yml and *.yaml)`)
    .action((files: string[], options: JsonOption) => validate(context, files, options));
  finishCommand(command, "shipfox validate", "shipfox validate .shipfox/workflows/ci.yml", "shipfox validate --json");
}

async function validate(context: CommandContext, named: string[], options: JsonOption): Promise<void> {
  const files = named.length > 0 ? named : await findWorkflowFiles(context.cwd);
  const sources = await Promise.all(files.map((file) => readTextFile(context.cwd, file, "shipfox validate --help")));
  const { api } = await openSession(context.env);
  const checked = await withProgress(context.terminal, `Checking ${files.length} file(s)`, () =>
    checkAll(api, files, sources),
  );
  const faulty = checked.filter((result) => result.errors.length > 0);
  if (faulty.length > 0) context.exitCode = EXIT.failed;
  if (options.json) {
    const rows = checked.map(({ file, errors, warnings }) => ({ file, valid: errors.length === 0, errors, warnings }));
    await context.terminal.print(JSON.stringify({ valid: faulty.length === 0, files: rows }, null, 2));
  } else await context.terminal.print(describe(context, checked));
}

async function findWorkflowFiles(cwd: string): Promise<string[]> {
  const names = await readdir(join(cwd, WORKFLOW_FOLDER)).catch(() => []);
  const files = names.filter((name) => /\.ya?ml$/.test(name)).sort();
  if (files.length > 0) return files.map((name) => `${WORKFLOW_FOLDER}/${name}`);
  throw usageError(`There is no workflow file in ${WORKFLOW_FOLDER} here.`, "shipfox validate path/to/workflow.yml");
}

async function checkAll(api: Client, files: readonly string[], sources: readonly string[]): Promise<Checked[]> {
  const checked: Checked[] = [];
  for (const [index, file] of files.entries()) {
    const source = sources[index] ?? "";
    checked.push({ file, source, ...(faultOfSize(source) ?? (await check(api, source))) });
  }
  return checked;
}

/** What the API would refuse as a request rather than as a workflow. */
function faultOfSize(source: string): { errors: Diagnostic[]; warnings: Diagnostic[] } | null {
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

async function check(api: Client, source: string): Promise<{ errors: Diagnostic[]; warnings: Diagnostic[] }> {
  const reply = await api.definitions.validate({ yaml: source });
  if (!reply.valid) return { errors: reply.errors, warnings: [] };
  return { errors: [], warnings: [...reply.warnings, ...reply.not_runnable] };
}

function describe(context: CommandContext, checked: readonly Checked[]): string {
  const { colors } = context.terminal;
  const blocks = checked.flatMap(({ file, source, errors, warnings }) => [
    ...errors.map((fault) => renderDiagnostic(file, source, fault, { severity: "error", colors })),
    ...warnings.map((fault) => renderDiagnostic(file, source, fault, { severity: "warning", colors })),
    ...(errors.length === 0 ? [`${colors.green("✓")} ${file}`] : []),
  ]);
  const faults = checked.reduce((sum, result) => sum + result.errors.length, 0);
  if (faults > 0) blocks.push(colors.red(`${faults} fault(s) in ${checked.length} file(s)`));
  return blocks.join("\n");
}
