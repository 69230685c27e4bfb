import { openEventStream, StandInServer, StreamedLog } from "@shipfox/shared/stand-in-server.fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ids, jobInState, jobSeed, output, run } from "../testing/fixtures.ts";
import { CliHome } from "../testing/run-cli.ts";

let server: StandInServer;
let home: CliHome;
beforeEach(async () => {
  server = await StandInServer.start();
  home = await CliHome.create();
  await home.signIn(server.url);
});
afterEach(async () => {
  await home[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const stream = "GET /steps/*/attempts/1/logs/stream";

/** A run whose only step prints these lines and then ends so. */
function serve(status: "succeeded" | "failed" | "cancelled", ...lines: string[]): void {
  const seed = jobSeed();
  let stage = run("running", [jobInState(seed, "running")]);
  server.on("GET /workflows/runs/*", () => ({ body: stage }));
  server.on(stream, (_request, response) => {
    stage = run(status, [jobInState(seed, status)]);
    openEventStream(response);
    const log = new StreamedLog().add(...lines.map((line) => output(`${line}\n`)));
    response.end(log.after("0").join("") + StreamedLog.end(false));
    return undefined;
  });
}

describe("watching a run on a terminal", () => {
  it.each([
    ["succeeded", 0],
    ["failed", 1],
    ["cancelled", 2],
  ] as const)("draws a tree, leaves its end there and exits with the result: %s is %i", async (status, code) => {
    serve(status, "hello");
    using terminal = home.startOnTerminal(["runs", "watch", ids.run]);
    expect(await terminal.finish()).toBe(code);
    expect(terminal.screen).toContain("● CI #7 running");
    expect(terminal.screen).toContain("0 of 1 jobs · 1 running");
    const end = terminal.screen.split("Ctrl-C stops watching, not the run").at(-1);
    expect(end).toContain(`CI #7 ${status}`);
    expect(end?.trimEnd()).toMatch(new RegExp(`next: shipfox logs ${ids.run}$`));
  });

  it("keeps the end of the log of a step that failed, without what a log could do to the terminal", async () => {
    serve("failed", ...Array.from({ length: 30 }, (_, index) => `line ${index + 1}`), "\u001b[2Joh \u001b[?1049lno");
    using terminal = home.startOnTerminal(["runs", "watch", ids.run]);
    expect(await terminal.finish()).toBe(1);
    const [, end] = terminal.screen.split("The end of the log of build, Test:");
    expect(end).toMatch(/│ line 12\r\n[^]*│ line 30\r\n│ oh no\r\n/);
    expect(end).not.toContain("│ line 11\r\n");
  });

  it("does not read the logs of what had succeeded before", async () => {
    server.on("GET /workflows/runs/*", { body: run("succeeded", [jobInState(jobSeed(), "succeeded")]) });
    using terminal = home.startOnTerminal(["runs", "watch", ids.run]);
    expect(await terminal.finish()).toBe(0);
    expect(server.seen(stream)).toEqual([]);
  });
});

describe("watching a run in a pipe", () => {
  it("prints lines, or objects, and exits with the result", async () => {
    serve("failed", "hello");
    const text = await home.run(["runs", "watch", ids.run]);
    expect(text.code).toBe(1);
    expect(text.stdout).toContain("[build] hello\n");
    expect(text.stdout).not.toContain("\u001b");
    serve("cancelled", "hello");
    const json = await home.run(["runs", "watch", ids.run, "--json"]);
    expect(json.code).toBe(2);
    const last = json.stdout.trimEnd().split("\n").at(-1) ?? "";
    expect(JSON.parse(last)).toEqual({ type: "result", workflow_run_id: ids.run, number: 7, status: "cancelled" });
  });
});
