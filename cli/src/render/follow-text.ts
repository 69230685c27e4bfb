import { LogText } from "@shipfox/shared/log-text";
import type { FollowSink } from "../follow.ts";
import type { ExecutionEvent, JobEvent, LogEvent, OutputEvent, RunEvent, StepEvent } from "../plan-output.ts";
import type { Colors, Terminal } from "../terminal.ts";
import { LogLines } from "./log-lines.ts";
import { plainText } from "./plain-text.ts";
import { eventWords, resolutionWords } from "./listening.ts";
import { inStatusColor, reasonWords, statusSymbol } from "./status.ts";
import { duration } from "./time.ts";

/** Shows a run as lines, each of a job's with `[job]` in front. */
export function textSink(terminal: Terminal): FollowSink {
  const { colors } = terminal;
  const prefix = jobPrefixes(colors);
  const logs = new Map<string, LogLines>();
  const printFor = async (job: string, lines: readonly string[]) => {
    if (lines.length > 0) await terminal.print(lines.map((line) => `${prefix(job)} ${line}`.trimEnd()).join("\n"));
  };
  const linesOf = (log: LogEvent) => {
    const key = `${log.step_id}/${log.attempt}`;
    const known = logs.get(key) ?? new LogLines(colors);
    logs.set(key, known);
    return known;
  };
  return {
    event: async (event) => {
      if (event.type === "run") await terminal.print(runLine(event, colors));
      else await printFor(event.job, describeEvent(event, colors));
    },
    records: async (log, records) => {
      const lines = linesOf(log);
      await printFor(
        log.job,
        records.flatMap((record) => lines.push(record)),
      );
    },
    logEnded: async (log, end) => {
      await printFor(log.job, linesOf(log).flush());
      logs.delete(`${log.step_id}/${log.attempt}`);
      if (!end.complete) await printFor(log.job, [colors.yellow("… the end of this log has not arrived yet …")]);
      else if (end.truncated) await printFor(log.job, [colors.yellow("… the log breaks off here …")]);
    },
    notice: (text) => terminal.note(terminal.errorColors.yellow(text)),
  };
}

/** Only what the steps wrote, byte for byte; where something of it is missing, a line says so. */
export function rawSink(terminal: Terminal): FollowSink {
  const texts = new Map<string, LogText>();
  return {
    event: async () => undefined,
    records: async (log, records) => {
      const key = `${log.step_id}/${log.attempt}`;
      const text = texts.get(key) ?? new LogText();
      texts.set(key, text);
      await terminal.write(text.push(records));
    },
    logEnded: async (log) => void texts.delete(`${log.step_id}/${log.attempt}`),
    notice: (text) => terminal.note(text),
  };
}

function describeEvent(event: Exclude<OutputEvent, RunEvent>, colors: Colors): string[] {
  if (event.type === "log") return [];
  if (event.type === "job") return [jobLine(event, colors)];
  return [event.type === "execution" ? executionLine(event, colors) : stepLine(event, colors)];
}

function runLine(event: RunEvent, colors: Colors): string {
  const took = event.duration_ms === null ? "" : ` in ${duration(event.duration_ms)}`;
  const title = colors.bold(`${plainText(event.name)} #${event.number}`);
  return `${statusSymbol(event.status, colors)} ${title} ${inStatusColor(event.status, event.status, colors)}${took}`;
}

function jobLine(event: JobEvent, colors: Colors): string {
  if (event.waiting !== null) return colors.yellow(`waiting: ${plainText(event.waiting)}`);
  const words = event.reason === null ? [] : [reasonWords(event.reason)];
  if (event.resolution !== null) words.push(resolutionWords(event.resolution));
  const why = words.length === 0 ? "" : colors.dim(` (${words.join(", ")})`);
  return `${statusSymbol(event.status, colors)} job ${inStatusColor(event.status, event.status, colors)}${why}`;
}

function executionLine(event: ExecutionEvent, colors: Colors): string {
  const which = event.sequence === 1 ? "" : ` execution ${event.sequence}`;
  if (event.status === "running") {
    const where = event.runner === null ? "" : ` on ${plainText(event.runner)}`;
    const events = event.trigger_events.length === 0 ? "" : ` for ${eventWords(event.trigger_events)}`;
    return `${statusSymbol("running", colors)}${which} started${where}${events}`;
  }
  const why = event.message ?? (event.reason === null ? null : reasonWords(event.reason));
  const detail = why === null ? "" : colors.dim(` (${plainText(why)})`);
  const label = which === "" ? " execution" : which;
  const took = event.duration_ms === null ? "" : ` after ${duration(event.duration_ms)}`;
  return `${statusSymbol(event.status, colors)}${label} ${event.status}${took}${detail}`;
}

function stepLine(event: StepEvent, colors: Colors): string {
  const again = event.attempt > 1 ? colors.dim(` (attempt ${event.attempt})`) : "";
  const name = `${plainText(event.step)}${again}`;
  if (event.status === "running") return `${colors.cyan("┌")} ${colors.bold(name)}`;
  const facts: string[] = [];
  const isTold = event.error?.message.includes(`code ${event.exit_code}`) ?? false;
  if (event.exit_code !== null && event.exit_code !== 0 && !isTold) facts.push(`exit code ${event.exit_code}`);
  if (event.error !== null) facts.push(plainText(event.error.message));
  else if (event.reason !== null) facts.push(reasonWords(event.reason));
  const took = event.duration_ms === null ? "" : colors.dim(` ${duration(event.duration_ms)}`);
  const detail = facts.length === 0 ? "" : `: ${facts.join(", ")}`;
  return `${statusSymbol(event.status, colors)} ${name} ${inStatusColor(event.status, event.status, colors)}${detail}${took}`;
}

/** Gives each job a colour of its own, in the order of appearance. */
export function jobPrefixes(colors: Colors): (job: string) => string {
  const palette = [colors.blue, colors.magenta, colors.cyan, colors.green, colors.yellow];
  const known = new Map<string, string>();
  return (job) => {
    const paint = palette[known.size % palette.length] ?? colors.blue;
    const text = known.get(job) ?? paint(`[${plainText(job)}]`);
    known.set(job, text);
    return text;
  };
}
