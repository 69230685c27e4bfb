import type { AnnotationOperation } from "@shipfox/shared/machine";
import type { Masker } from "../logs/masking.ts";
import { readStepFolder } from "../sandbox/read-step-folder.ts";
import type { Sandbox, StepFile } from "../sandbox/sandbox.ts";
import { readStepFile } from "../sandbox/step-file.ts";
import { parseAnnotationFile, SUMMARY_CONTEXT } from "./annotations.ts";
import { MAX_ENV_FILE_BYTES, parseEnvFile, type ParsedEnv } from "./env-file.ts";
import { MAX_OUTPUT_FILE_BYTES, parseOutputs, type ParsedOutputs } from "./outputs.ts";
import { MAX_POST_JOB_BYTES } from "./post-job.ts";
import { MAX_PATH_FILE_BYTES, parsePathFile, type ParsedPath } from "./path-file.ts";

const MAX_SUMMARY_BYTES = 1024 * 1024;
/** Source: the published runner behaviour for SHIPFOX_ANNOTATIONS_DIR. */
const ANNOTATION_LIMITS = { maxFiles: 256, maxFileBytes: 1024 * 1024, maxTotalBytes: 5 * 1024 * 1024 };

type Text = { kind: "text"; text: string } | { kind: "invalid"; message: string };

/** What one attempt of a step hands to the runner: files and a folder that the step may write and the runner owns. */
export class StepFiles {
  private readonly output: StepFile;
  private readonly env: StepFile;
  private readonly path: StepFile;
  private readonly summary: StepFile;
  private readonly postJob: StepFile;
  private readonly annotations: StepFile;

  private constructor(files: readonly StepFile[]) {
    [this.output, this.env, this.path, this.summary, this.postJob, this.annotations] = files as [
      StepFile,
      StepFile,
      StepFile,
      StepFile,
      StepFile,
      StepFile,
    ];
  }

  /** `number` is another one for each attempt of a step in the sandbox. Rejects with SandboxError. */
  static async make(sandbox: Sandbox, number: number): Promise<StepFiles> {
    const names = ["output", "env", "path", "summary", "post-job"];
    return new StepFiles(
      await Promise.all([
        ...names.map((name) => sandbox.createStepFile(`${name}-${number}`)),
        sandbox.createStepFolder(`annotations-${number}`),
      ]),
    );
  }

  /** The variables that tell the step where they are. */
  get variables(): Record<string, string> {
    return {
      SHIPFOX_OUTPUT: this.output.inside,
      SHIPFOX_ENV: this.env.inside,
      SHIPFOX_PATH: this.path.inside,
      SHIPFOX_STEP_SUMMARY: this.summary.inside,
      SHIPFOX_POST_JOB: this.postJob.inside,
      SHIPFOX_ANNOTATIONS_DIR: this.annotations.inside,
    };
  }

  async readOutputs(masker: Masker): Promise<ParsedOutputs> {
    const read = await readText("SHIPFOX_OUTPUT", this.output, MAX_OUTPUT_FILE_BYTES);
    return read.kind === "invalid" ? read : parseOutputs(read.text, masker);
  }

  async readEnv(masker: Masker): Promise<ParsedEnv> {
    const read = await readText("SHIPFOX_ENV", this.env, MAX_ENV_FILE_BYTES);
    return read.kind === "invalid" ? read : parseEnvFile(read.text, masker);
  }

  async readPath(masker: Masker): Promise<ParsedPath> {
    const read = await readText("SHIPFOX_PATH", this.path, MAX_PATH_FILE_BYTES);
    return read.kind === "invalid" ? read : parsePathFile(read.text, masker);
  }

  /** Shell text for the end of the job, or what is wrong with it. */
  readPostJob(): Promise<Text> {
    return readText("SHIPFOX_POST_JOB", this.postJob, MAX_POST_JOB_BYTES);
  }

  /** The summary first, then the files of the folder in the order of their names. `faults` says what is not taken, a sentence each. */
  async readAnnotations(): Promise<{ operations: AnnotationOperation[]; faults: string[] }> {
    const operations: AnnotationOperation[] = [];
    const faults: string[] = [];
    const summary = await readText("SHIPFOX_STEP_SUMMARY", this.summary, MAX_SUMMARY_BYTES);
    if (summary.kind === "invalid") faults.push(summary.message);
    else if (summary.text.trim() !== "")
      operations.push({ op: "replace", context: SUMMARY_CONTEXT, body: summary.text });
    const folder = await readStepFolder(this.annotations.host, ANNOTATION_LIMITS);
    if (folder.leftOut === null) faults.push("SHIPFOX_ANNOTATIONS_DIR cannot be read any more.");
    else if (folder.leftOut > 0)
      faults.push(`SHIPFOX_ANNOTATIONS_DIR has more than ${ANNOTATION_LIMITS.maxFiles} files; the rest is left out.`);
    for (const { name, why } of folder.skipped) faults.push(skipped(name, why));
    for (const { name, content } of folder.files) {
      const parsed = parseAnnotationFile(textOf(content));
      if ("fault" in parsed) faults.push(skipped(name, parsed.fault));
      else operations.push(parsed);
    }
    return { operations, faults };
  }
}

function skipped(name: string, why: string): string {
  return `${JSON.stringify(name)} of SHIPFOX_ANNOTATIONS_DIR is skipped: ${why}.`;
}

async function readText(variable: string, file: StepFile, maxBytes: number): Promise<Text> {
  const found = await readStepFile(file.host, maxBytes);
  switch (found.kind) {
    case "missing":
      return { kind: "text", text: "" };
    case "not_regular":
      return { kind: "invalid", message: `${variable} is not a regular file any more.` };
    case "too_large":
      return { kind: "invalid", message: `${variable} has more than ${found.maxBytes} bytes.` };
    case "content":
      return { kind: "text", text: textOf(found.content) };
  }
}

function textOf(content: Buffer): string {
  return content.toString("utf8").replaceAll("\0", "\uFFFD");
}
