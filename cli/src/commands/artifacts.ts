import { createHash } from "node:crypto";
import { open, rm } from "node:fs/promises";
import type { Client } from "@shipfox/client";
import type { Artifact } from "@shipfox/shared/api/artifacts";
import type { Command } from "commander";
import { withProject } from "../choose-scope.ts";
import { chooseRun } from "../choose.ts";
import { CliError, usageError } from "../cli-error.ts";
import { type CommandContext, finishCommand, type JsonOption, printResult, withExamples } from "../command-context.ts";
import { type ConfirmOptions, confirmOnTerminal, withYesOnTerminal } from "../confirm.ts";
import { EXIT } from "../exit-codes.ts";
import { fileError } from "../read-file.ts";
import { plainText } from "../render/plain-text.ts";
import { bytes } from "../render/size.ts";
import { renderTable } from "../render/table.ts";
import { age } from "../render/time.ts";
import { openSession } from "../session.ts";

interface RunOptions extends JsonOption {
  workspace?: string;
  project?: string;
}
interface OneOptions extends RunOptions {
  job?: string;
}

const RUN_ARGUMENT = "its id, its number (7), or workflow and number (ci#7)";
const NAME_ARGUMENT = "name or id of the artifact";
const NEW_FILE_MODE = 0o644;

export function registerArtifacts(program: Command, context: CommandContext): void {
  const artifacts = withExamples(
    program.command("artifacts").description("list, download and delete what the jobs of a run left"),
    "shipfox artifacts list 7",
    "shipfox artifacts download 7 dist",
  );
  finishCommand(
    withRun(artifacts.command("list").description("list the artifacts of a run")).action(
      (run: string, options: RunOptions) => listArtifacts(context, run, options),
    ),
    "shipfox artifacts list 7",
    "shipfox artifacts list ci#7 --json",
  );
  finishCommand(
    withOne(artifacts.command("download").description("download an artifact, a gzipped tar archive"))
      .option("-o, --output <file>", "the file to write, which must be new (default: its name in this folder)")
      .action((run: string, name: string, options: OneOptions & { output?: string }) =>
        downloadArtifact(context, run, name, options),
      ),
    "shipfox artifacts download 7 dist",
    "shipfox artifacts download ci#7 dist --job build -o dist.tar.gz",
  );
  finishCommand(
    withYesOnTerminal(withOne(artifacts.command("delete").description("delete an artifact before its time"))).action(
      (run: string, name: string, options: OneOptions & ConfirmOptions) => deleteArtifact(context, run, name, options),
    ),
    "shipfox artifacts delete 7 dist",
  );
}

function withRun(command: Command): Command {
  return withProject(command.argument("<run>", RUN_ARGUMENT));
}

function withOne(command: Command): Command {
  return withRun(command)
    .argument("<artifact>", NAME_ARGUMENT)
    .option("--job <job>", "the job that left it, where several left one of this name");
}

async function artifactsOf(api: Client, reference: string, options: RunOptions): Promise<Artifact[]> {
  const id = await chooseRun(api, reference, options);
  return await Array.fromAsync(api.artifacts.list.items({ id }));
}

async function listArtifacts(context: CommandContext, reference: string, options: RunOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const artifacts = await artifactsOf(api, reference, options);
  await printResult(context, options, {
    document: { artifacts },
    text: () => (artifacts.length === 0 ? "The run has no artifacts." : artifactTable(context, artifacts)),
  });
}

function artifactTable({ terminal }: CommandContext, artifacts: readonly Artifact[]): string {
  return renderTable(
    terminal,
    [
      { head: "NAME", text: ({ name }) => name, flex: true },
      { head: "JOB", text: ({ job_key }) => job_key },
      { head: "SIZE", text: ({ size }) => bytes(size) },
      { head: "CREATED", text: ({ created_at }) => age(created_at) },
      { head: "EXPIRES", text: ({ expires_at }) => expires_at?.slice(0, 10) ?? "with its run" },
      { head: "ID", text: ({ id }) => id, style: (text) => terminal.colors.dim(text) },
    ],
    artifacts,
  );
}

async function chooseArtifact(api: Client, run: string, name: string, options: OneOptions): Promise<Artifact> {
  const artifacts = await artifactsOf(api, run, options);
  const matches = artifacts.filter(
    (each) => (each.name === name || each.id === name) && (options.job === undefined || each.job_key === options.job),
  );
  const [match, ...more] = matches;
  if (match && more.length === 0) return match;
  if (match) {
    const jobs = [...new Set(matches.map(({ job_key }) => plainText(job_key)))].join(", ");
    throw usageError(
      `${matches.length} artifacts are called "${plainText(name)}", of the jobs ${jobs}.`,
      "name it by its id, or add --job",
    );
  }
  throw usageError(`The run has no such artifact "${plainText(name)}".`, `shipfox artifacts list ${run}`);
}

async function downloadArtifact(
  context: CommandContext,
  run: string,
  name: string,
  options: OneOptions & { output?: string },
): Promise<void> {
  const { api } = await openSession(context.env);
  const artifact = await chooseArtifact(api, run, name, options);
  const path = options.output ?? artifact.file_name;
  await saveArtifact(api, artifact, path);
  await printResult(context, options, {
    document: { artifact, file: path },
    text: () => `✓ ${plainText(path)} has ${bytes(artifact.size)}; unpack it with tar -xzf.`,
  });
}

/** The file is there as a whole and with the digest that the server tells, or not at all. */
async function saveArtifact(api: Client, artifact: Artifact, path: string): Promise<void> {
  const file = await open(path, "wx", NEW_FILE_MODE).catch((error: unknown) => {
    throw fileError(path, error);
  });
  try {
    const { body } = await api.artifacts.download({ artifactId: artifact.id });
    const hash = createHash("sha256");
    for await (const piece of body ?? []) {
      hash.update(piece);
      await file.writeFile(piece);
    }
    if (hash.digest("hex") !== artifact.sha256)
      throw new CliError("The bytes that arrived are not those of the artifact; nothing was kept.", {
        exitCode: EXIT.api,
        code: "digest-mismatch",
        next: ["download it again"],
      });
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

async function deleteArtifact(
  context: CommandContext,
  run: string,
  name: string,
  options: OneOptions & ConfirmOptions,
): Promise<void> {
  const { api } = await openSession(context.env);
  const artifact = await chooseArtifact(api, run, name, options);
  await confirmOnTerminal(
    context,
    options,
    `Delete the artifact ${plainText(artifact.name)} (${bytes(artifact.size)})?`,
  );
  await api.artifacts.remove({ artifactId: artifact.id });
  await printResult(context, options, {
    document: { deleted: artifact },
    text: () => `✓ Deleted the artifact ${plainText(artifact.name)} of the job ${plainText(artifact.job_key)}.`,
  });
}
