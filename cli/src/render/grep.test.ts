import type { LogRecord } from "@shipfox/shared/log-records";
import pc from "picocolors";
import { describe, expect, it } from "vitest";
import type { LogEvent } from "../plan-output.ts";
import type { Terminal } from "../terminal.ts";
import { GrepSink } from "./grep.ts";

const TEST: LogEvent = {
  type: "log",
  lane: "build",
  job: "build",
  step: "Test",
  step_key: "test",
  step_type: "run",
  step_id: "s",
  attempt: 1,
};
const said = (data: string): LogRecord => ({ v: 1, ts: 0, type: "output", stream: "stdout", data });
const opens = (group_id: string, name: string): LogRecord => ({
  v: 1,
  ts: 0,
  type: "group_start",
  group_id,
  parent_group_id: null,
  name,
});
const closes = (group_id: string): LogRecord => ({ v: 1, ts: 0, type: "group_end", group_id });

/** What is shown of a log that comes in these pages. */
async function found(log: LogEvent, pattern: RegExp, ...pages: LogRecord[][]): Promise<string[]> {
  const lines: string[] = [];
  const print = async (text: string) => void lines.push(...text.split("\n"));
  const sink = new GrepSink({ colors: pc.createColors(false), print } as unknown as Terminal, pattern, { raw: false });
  for (const page of pages) await sink.records(log, page);
  await sink.logEnded(log, { truncated: false, complete: true });
  return lines;
}

describe("a search in logs", () => {
  const echo = [opens("g1", "Run npm test || echo error"), said("npm test || echo error\n"), said("shell: bash\n")];

  it("does not find the command that the runner repeats, wherever the page is cut", async () => {
    const rest = [closes("g1"), said("one error\n")];
    for (let cut = 0; cut <= echo.length; cut += 1)
      expect(await found(TEST, /error|shell/, echo.slice(0, cut), [...echo.slice(cut), ...rest])).toEqual([
        "[build] one error",
      ]);
  });

  it("finds what a step put into groups of its own", async () => {
    const own = [opens("g2", "Unit tests"), said("an error\n"), closes("g2")];
    expect(await found(TEST, /error/, [...echo, closes("g1"), ...own])).toEqual(["[build] an error"]);
  });

  it("finds all that the setup says when it is the setup that is searched", async () => {
    const setup: LogEvent = { ...TEST, step: "Set up job", step_key: null, step_type: "setup" };
    const records = [opens("g1", "Job details"), said("Job: build\n"), closes("g1"), said("Checked out abc\n")];
    expect(await found(setup, /Job|Checked/, records)).toEqual(["[build] Job: build", "[build] Checked out abc"]);
  });
});
