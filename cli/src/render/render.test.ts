import { ClientError } from "@shipfox/client/client-error";
import pc from "picocolors";
import { describe, expect, it } from "vitest";
import { usageError } from "../cli-error.ts";
import { ApiFailure } from "../api-failure.ts";
import { type Terminal, wantsColor } from "../terminal.ts";
import { annotation, execution, job, jobInState, jobSeed, output, run } from "../testing/fixtures.ts";
import { renderDiagnostic } from "./diagnostics.ts";
import { errorDocument, renderError } from "./error.ts";
import { LogLines } from "./log-lines.ts";
import { plainText, safeLine } from "./plain-text.ts";
import { renderRun } from "./run.ts";
import { renderTable } from "./table.ts";
import { age, duration } from "./time.ts";

const plain = pc.createColors(false);
const colored = pc.createColors(true);
const ESC = "\u001b";
const NOW = Date.parse("2026-07-06T10:01:00.000Z");

describe("colour", () => {
  it.each([
    [{ isTTY: true }, {}, true],
    [{ isTTY: false }, {}, false],
    [{ isTTY: true }, { NO_COLOR: "1" }, false],
    [{ isTTY: true }, { TERM: "dumb" }, false],
    [{ isTTY: false }, { FORCE_COLOR: "1" }, true],
    [{ isTTY: false }, { CI: "true" }, false],
  ])("on %j with %j is %s", (stream, env, wanted) => expect(wantsColor(stream, env)).toBe(wanted));
});

describe("text written by strangers", () => {
  const hostile = `a${ESC}]0;title\u0007b${ESC}[2Jc${ESC}[31mred\u0008\u009b1m`;

  it("has no control sequence left in names", () =>
    expect(plainText(hostile)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/));

  it("keeps only colours in log lines, and ends them", () => {
    expect(safeLine(hostile, { colors: true })).toMatch(/red.*\u001b\[0m$/);
    expect(safeLine(hostile, { colors: true }).replaceAll(/\u001b\[[0-9;]*m/g, "")).not.toContain(ESC);
    expect(safeLine(hostile, { colors: false })).not.toContain(ESC);
    expect(safeLine("a\tb", { colors: true })).toBe("a\tb");
  });

  it.each([
    ["a window title", `${ESC}]0;pwned\u0007title`, "title"],
    ["a write to the clipboard", `${ESC}]52;c;cm0gLXJmIC8=\u0007clip`, "clip"],
    ["a link that lies", `${ESC}]8;;https://evil.example\u0007good.example${ESC}]8;;\u0007`, "good.example"],
    ["a cleared screen", `${ESC}[2J${ESC}[H${ESC}[1;1Htop`, "top"],
    ["a line drawn over the one above", `${ESC}[1A${ESC}[2Kall tests passed`, "all tests passed"],
    ["an answer that the terminal would type", `${ESC}[6n${ESC}[ctyped`, "typed"],
    ["8-bit sequences", "\u009b2Jc1\u0085", "c1"],
    ["backspaces", "rm -rf /\u0008\u0008\u0008", "rm -rf /"],
    ["a changed order", "\u202egnp.exe\u202c\u2066x\u2069\u200f\u200e\u061c", "gnp.exex"],
    ["a form feed and a bell", "\u000c\u0007text\u000b\u0000", "text"],
    ["markup", "<script>alert(1)</script>&amp;", "<script>alert(1)</script>&amp;"],
    ["commands of other systems", "::set-output name=a::b", "::set-output name=a::b"],
  ])("shows %s as harmless text", (_what, line, shown) => {
    expect(safeLine(line, { colors: false })).toBe(shown);
    expect(safeLine(line, { colors: true }).replace(`${ESC}[0m`, "")).toBe(shown);
    expect(plainText(line).replaceAll(" ", "")).toBe(shown.replaceAll(" ", ""));
  });
});

describe("megabytes in one line", () => {
  const LENGTH = 2_000_000;
  // A search that starts anew at each of them would outlast the test's time by far.
  it.each([
    ["beginnings of titles", `${ESC}]`],
    ["8-bit beginnings of titles", "\u009d"],
    ["beginnings of commands", `${ESC}[1;`],
    ["one command without an end", ";"],
    ["strings of a device", `${ESC}Pq`],
    ["escapes", ESC],
    ["spaces after an escape", " "],
  ])("of %s are no more work than those of any text", (_what, part) => {
    const line = `${ESC}[${part.repeat(LENGTH / part.length)}`;
    expect(safeLine(line, { colors: true })).not.toMatch(/[\u001b\u009d](?!\[0m$)/);
    expect(plainText(`${ESC}]${line}`)).not.toContain(ESC);
  });
});

describe("log lines", () => {
  const all = (lines: LogLines, ...records: Parameters<LogLines["push"]>[0][]) => [
    ...records.flatMap((record) => lines.push(record)),
    ...lines.flush(),
  ];
  const at = { v: 1, ts: 1 } as const;

  it("joins pieces of a line and keeps a last line without an end", () => {
    expect(all(new LogLines(plain), output("one\ntw"), output("o\r\n\nthree"))).toEqual(["one", "two", "", "three"]);
  });

  it("does not mix halves of stdout and stderr", () => {
    const err = { ...at, type: "output", stream: "stderr", data: "bad\n" } as const;
    expect(all(new LogLines(plain), output("go"), err, output("od\n"))).toEqual(["bad", "good"]);
  });

  it("shows what a progress bar drew last", () => {
    expect(all(new LogLines(plain), output("10%\r50%\r100%\n"))).toEqual(["100%"]);
  });

  it("indents groups, and says what is missing", () => {
    const start = (group_id: string, name: string) =>
      ({ ...at, type: "group_start", group_id, parent_group_id: null, name }) as const;
    const end = (group_id: string) => ({ ...at, type: "group_end", group_id }) as const;
    const lines = all(
      new LogLines(plain),
      start("a", "outer"),
      start("b", "inner"),
      output("deep\n"),
      end("b"),
      output("less\n"),
      end("a"),
      { ...at, type: "gap", dropped_bytes: 1_234_567 },
      { ...at, type: "capped" },
      { ...at, type: "runner_lost" },
      { ...at, type: "end", total_bytes: 1 },
    );
    expect(lines).toEqual([
      "▸ outer",
      "  ▸ inner",
      "    deep",
      "  less",
      "[… 1,234,567 bytes were dropped …]",
      "[… the log has reached its limit, what followed was not kept …]",
      "[… the runner was lost, the log ends here …]",
    ]);
  });
});

describe("tables", () => {
  const terminal = (columns: number) => ({ columns, colors: plain }) as Terminal;
  const columns = [
    { head: "NAME", text: (row: string) => row, flex: true },
    { head: "N", text: (row: string) => String(row.length) },
  ];

  it("are aligned, without trailing spaces", () => {
    expect(renderTable(terminal(80), columns, ["ab", "abcdef"])).toBe("NAME    N\nab      2\nabcdef  6");
  });

  it("are cut to the width of the terminal, never in a pipe", () => {
    const long = "x".repeat(60);
    const lines = renderTable(terminal(40), columns, [long]).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40);
    expect(renderTable(terminal(Number.POSITIVE_INFINITY), columns, [long])).toContain(long);
  });

  it("leave out the ids of what has a name, before anything else gets too narrow to read", () => {
    const named = [
      { head: "NAME", text: (name: string) => name, flex: true },
      { head: "STATE", text: () => "succeeded" },
      { head: "ID", text: () => "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11", expendable: true },
    ];
    expect(renderTable(terminal(58), named, ["a long name"]).split("\n")[1]).toMatch(
      /^a long n… {2}succeeded {2}01981f0e-/,
    );
    expect(renderTable(terminal(54), named, ["a long name"])).toBe("NAME         STATE\na long name  succeeded");
    expect(renderTable(terminal(15), named, ["a long name"])).toBe("NAME    STATE\na lon…  succee…");
  });

  it("count the columns of wide characters", () => {
    expect(renderTable(terminal(80), columns, ["数据", "abcde"])).toBe("NAME   N\n数据   2\nabcde  5");
    expect(renderTable(terminal(12), columns, ["数据库数据库"])).toBe("NAME       N\n数据库数…  6");
  });
});

describe("errors", () => {
  it("show message, code and the next command", () => {
    const error = new ClientError("The run has already ended.", { code: "run-already-finished", status: 409 });
    const failure = new ApiFailure(error);
    expect(renderError(failure, plain)).toBe(
      "✗ The run has already ended. (run-already-finished)\n  next: shipfox runs list",
    );
    expect(renderError(usageError("Wrong.", "shipfox login"), plain)).toBe("✗ Wrong.\n  next: shipfox login");
  });

  it("are one JSON document with the server's details", () => {
    const details = { existing_project_id: "x" };
    const failure = new ApiFailure(new ClientError("m", { code: "project-already-exists", status: 409, details }));
    expect(errorDocument(failure)).toEqual({
      error: {
        code: "project-already-exists",
        message: "m",
        status: 409,
        details: { existing_project_id: "x" },
        next: ["shipfox projects list"],
      },
    });
  });
});

describe("diagnostics", () => {
  it("point at the column, under tabs too", () => {
    const fault = {
      code: "unknown-key",
      message: "unknown key",
      path: "jobs.x",
      line: 2,
      column: 3,
      suggestion: "steps",
    };
    const source = "jobs:\n\t stps: []\n";
    expect(renderDiagnostic("ci.yml", source, fault, { severity: "error", colors: plain, excerpt: true })).toBe(
      ["ci.yml:2:3: error[unknown-key]: unknown key", "2 | \t stps: []", "    \t ^", "  write instead: steps"].join(
        "\n",
      ),
    );
    expect(renderDiagnostic("ci.yml", source, fault, { severity: "error", colors: plain, excerpt: false })).toBe(
      "ci.yml:2:3: error[unknown-key]: unknown key",
    );
  });

  it("stay whole when the line is not there", () => {
    const fault = { code: "missing-key", message: "jobs is missing", path: "(root)", line: 9, column: 1 };
    expect(renderDiagnostic("ci.yml", "", fault, { severity: "warning", colors: plain, excerpt: true })).toBe(
      "ci.yml:9:1: warning[missing-key]: jobs is missing",
    );
  });
});

describe("a run", () => {
  it("is a tree with durations, exit codes, reasons and the next command", () => {
    const failed = run("failed", [
      jobInState(jobSeed(), "failed"),
      job({ key: "ship", status: "skipped", position: 1 }),
    ]);
    expect(renderRun(failed, [], plain, NOW)).toBe(
      [
        "✗ CI #7 failed 5.0s",
        `  ${failed.id} · manual · created 1m ago`,
        "",
        "✗ build failed (step failed)",
        "  ✗ Test exit code 3 4.0s",
        "",
        "– ship skipped",
        "",
        `next: shipfox logs ${failed.id}`,
      ].join("\n"),
    );
  });

  it("tells no duration before it began", () => {
    const pending = { ...run("pending", []), started_at: null, finished_at: null };
    expect(renderRun(pending, [], plain, NOW).split("\n")[0]).toBe("○ CI #7 pending");
  });

  it("shows every execution of a job that ran again", () => {
    const lost = execution({ status: "failed", status_reason: "runner_lost", finished_at: "2026-07-06T10:00:02.000Z" });
    const again = execution({ sequence: 2 });
    const text = renderRun(run("running", [job({ status: "running", job_executions: [lost, again] })]), [], plain, NOW);
    expect(text).toContain(
      "✗ execution 1 failed (runner lost) on build-1 2.0s\n  ● execution 2 running on build-1 1m 00s",
    );
    expect(text).toContain("next: shipfox runs cancel");
  });

  it("shows that a job listens, for what, and what each of its executions was for", () => {
    const delivered = {
      source: "alerts",
      event: "received",
      delivery_id: "d1",
      received_at: "2026-07-06T10:00:00.000Z",
      project: null,
      repository: null,
      ref: null,
      commit: null,
      data: {},
    };
    const ran = execution({
      status: "succeeded",
      finished_at: "2026-07-06T10:00:02.000Z",
      trigger_events: [delivered],
    });
    const listens = {
      reason: "listening" as const,
      since: delivered.received_at,
      message: "listens for alerts received",
    };
    const runners = { labels: [], runners: { matching: 0, online: 0, busy: 0 } };
    const listening = job({
      mode: "listening",
      status: "running",
      listener_status: "listening",
      waiting: { ...listens, ...runners },
      job_executions: [ran],
    });
    expect(renderRun(run("running", [listening]), [], plain, NOW)).toContain(
      [
        "● build listening",
        "  waiting: listens for alerts received",
        "  ✓ execution 1 succeeded on build-1 for alerts received 2.0s",
      ].join("\n"),
    );
    const resolved = job({
      mode: "listening",
      status: "succeeded",
      listener_status: "resolved",
      resolution_reason: "until",
    });
    expect(renderRun(run("succeeded", [resolved]), [], plain, NOW)).toContain(
      "✓ build succeeded\n  listening ended: until",
    );
  });

  it("shows what steps said beside their logs, counted, errors first, without control sequences", () => {
    const ran = jobInState(jobSeed(), "failed");
    const step = ran.job_executions[0]?.steps[0];
    const said = [
      annotation({ body: "# Summary\nfine" }),
      annotation({ style: "error", origin_step_id: step?.id ?? "", body: `bad${ESC}[2J news` }),
      annotation({ style: "error", body: "line\n".repeat(25) }),
    ];
    const text = renderRun(run("failed", [ran]), said, plain, NOW);
    expect(text).toContain("annotations: 2 errors, 1 note");
    expect(text).toContain(`  ✗ ${ran.key} › ${step?.name}\n    bad news\n`);
    expect(text).toContain("    … 5 more lines");
    expect(text.indexOf("bad news")).toBeLessThan(text.indexOf("# Summary"));
    expect(text).not.toContain(ESC);
  });

  it("is coloured only when asked", () => {
    const text = renderRun(run("running", []), [], colored, NOW);
    expect(text).toContain(ESC);
    expect(renderRun(run("running", []), [], plain, NOW)).not.toContain(ESC);
  });
});

describe("times", () => {
  it.each([
    [null, "-"],
    [850, "850ms"],
    [4_260, "4.2s"],
    [59_999, "59.9s"],
    [185_000, "3m 05s"],
    [7_620_000, "2h 07m"],
  ])("%s ms is %s", (milliseconds, text) => expect(duration(milliseconds)).toBe(text));

  it.each([
    ["2026-07-06T10:00:48.000Z", "12s ago"],
    ["2026-07-06T07:01:00.000Z", "3h ago"],
    ["2026-06-28T10:01:00.000Z", "8d ago"],
    ["2026-07-06T10:02:00.000Z", "0s ago"],
    [null, "-"],
  ])("%s is %s", (timestamp, text) => expect(age(timestamp, NOW)).toBe(text));
});
