import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { findProgramFault } from "@shipfox/shared/program-fault";
import { type ProgramEnd, runProgram } from "@shipfox/shared/run-program";
import PQueue from "p-queue";
import type { z } from "zod";
import { ProviderError } from "../driver.ts";
import { CONTRACT_VERSION, failureAnswerSchema, faultOfExitCode, type Operation } from "./contract.ts";

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
const MAX_STDERR_BYTES = 16 * 1024;
const MAX_MESSAGE_CHARS = 500;
const GRACE_MS = 2_000;
const CHANGING: ReadonlySet<Operation> = new Set(["create", "delete"]);

export interface ProgramPlace {
  /** Absolute. */
  readonly program: string;
  readonly args: readonly string[];
  /** Its working directory. */
  readonly stateDir: string;
  /** Names of variables of this process that it gets too. */
  readonly passedEnv: readonly string[];
  readonly maxParallel: number;
}

export interface ProgramCall {
  readonly operation: Operation;
  readonly request: object;
  /** Aborted at the time limit, with a TimeoutError, or when the caller gives up. */
  readonly until: AbortSignal;
  /** Never shown, whatever the program prints. */
  readonly secret?: string;
}

/** The operator's program: one run for each question, which it reads from its standard input. */
export class Program {
  private readonly place: ProgramPlace;
  private readonly turns: PQueue;

  constructor(place: ProgramPlace) {
    this.place = place;
    this.turns = new PQueue({ concurrency: place.maxParallel });
  }

  /** Why it cannot be run, as a sentence, or null. */
  async findFault(): Promise<string | null> {
    const fault = await findProgramFault(this.place.program);
    return fault === null ? null : `The command of the provider cannot be used: ${fault}.`;
  }

  /** Rejects with ProviderError. */
  async ask<Answer>(call: ProgramCall, schema: z.ZodType<Answer>): Promise<Answer> {
    const fault = await this.findFault();
    if (fault !== null) throw new ProviderError("refused", fault);
    const output = new Output();
    const end = await this.runInTurn(call, output);
    if (end.code !== 0) throw failureOf(call, end, output);
    const answer = schema.safeParse(parseJson(output.answer));
    if (answer.success) return answer.data;
    const issue = answer.error.issues[0];
    throw unclear(
      call,
      `answered something else than its contract: ${issue?.path.join(".") || "all"}: ${issue?.message}`,
    );
  }

  close(): void {
    this.turns.clear();
  }

  /** Whoever gives up while it waits leaves the line; a program that runs is ended first. */
  private async runInTurn(call: ProgramCall, output: Output): Promise<ProgramEnd> {
    const waiting = new AbortController();
    const leave = () => waiting.abort(call.until.reason);
    if (call.until.aborted) leave();
    call.until.addEventListener("abort", leave);
    let isStarted = false;
    const start = () => {
      call.until.throwIfAborted();
      call.until.removeEventListener("abort", leave);
      isStarted = true;
      return this.run(call, output);
    };
    try {
      return await this.turns.add(start, { signal: waiting.signal });
    } catch (error) {
      if (isStarted) throw error;
      const why = `was not started: ${(error as Error).message}`;
      throw new ProviderError("unavailable", `The command's ${call.operation} ${why}.`, { cause: error });
    } finally {
      call.until.removeEventListener("abort", leave);
    }
  }

  private async run(call: ProgramCall, output: Output): Promise<ProgramEnd> {
    const flooded = new AbortController();
    const { program, args, stateDir } = this.place;
    let end: ProgramEnd;
    try {
      await mkdir(stateDir, { recursive: true, mode: 0o700 });
      end = await runProgram(program, {
        args: [...args, call.operation],
        cwd: stateDir,
        env: this.environment(),
        input: `${JSON.stringify({ version: CONTRACT_VERSION, ...call.request })}\n`,
        signal: AbortSignal.any([call.until, flooded.signal]),
        graceMs: GRACE_MS,
        onOutput: (stream, chunk) => {
          if (!output.add(stream, chunk)) flooded.abort();
        },
      });
    } catch (error) {
      throw new ProviderError(
        "refused",
        `The command of the provider could not be started: ${(error as Error).message}.`,
      );
    }
    if (flooded.signal.aborted) throw unclear(call, `was ended: it printed more than ${MAX_ANSWER_BYTES} bytes`);
    if (!call.until.aborted) return end;
    const { name, message } = call.until.reason as Error;
    throw unclear(call, name === "TimeoutError" ? "was ended: it took too long" : `was ended: ${message}`);
  }

  private environment(): Record<string, string> {
    const env: Record<string, string> = { PATH: DEFAULT_PATH, HOME: homedir(), LANG: "C.UTF-8" };
    for (const name of this.place.passedEnv) {
      const value = process.env[name];
      if (value !== undefined) env[name] = value;
    }
    return env;
  }
}

/** What an exit code other than 0 says. */
function failureOf(call: ProgramCall, { code, signal }: ProgramEnd, output: Output): ProviderError {
  const fault = code === null ? null : faultOfExitCode(code);
  const parsed = failureAnswerSchema.safeParse(parseJson(output.answer));
  const said = parsed.success ? parsed.data : {};
  const words = readable(said.message ?? output.lastErrors, call.secret);
  const how = code === null ? `was killed by ${signal}` : `exited with ${code}`;
  const detail = words === "" ? "" : `: ${words}`;
  if (fault === null) return unclear(call, `${how}${detail}`);
  const isUnclear = said.may_have_happened ?? fault === "unavailable";
  return new ProviderError(fault, `The command's ${call.operation} ${how} (${fault})${detail}`, {
    mayHaveHappened: CHANGING.has(call.operation) && fault !== "refused" && isUnclear,
    retryAfterMs: (said.retry_after_seconds ?? 0) * 1_000,
  });
}

/** Nobody knows how far it got. */
function unclear(call: ProgramCall, how: string): ProviderError {
  const mayHaveHappened = CHANGING.has(call.operation);
  return new ProviderError("unavailable", `The command's ${call.operation} ${how}.`, { mayHaveHappened });
}

class Output {
  private readonly parts: Buffer[] = [];
  private bytes = 0;
  private errors: Buffer = Buffer.alloc(0);

  /** False when there is too much of it. */
  add(stream: "stdout" | "stderr", chunk: Buffer): boolean {
    if (stream === "stderr") {
      this.errors = Buffer.concat([this.errors, chunk]).subarray(-MAX_STDERR_BYTES);
      return true;
    }
    this.bytes += chunk.length;
    if (this.bytes > MAX_ANSWER_BYTES) return false;
    this.parts.push(chunk);
    return true;
  }

  get answer(): string {
    return Buffer.concat(this.parts).toString("utf8");
  }

  get lastErrors(): string {
    return this.errors.toString("utf8");
  }
}

/** The end of what it said, on one line, without the secret. */
function readable(text: string, secret: string | undefined): string {
  const shown = secret === undefined ? text : text.replaceAll(secret, "***");
  return shown
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, " ")
    .trim()
    .slice(-MAX_MESSAGE_CHARS);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
