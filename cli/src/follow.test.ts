import type { RunDetail } from "@shipfox/shared/api/runs";
import type { ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import { type FollowSink, followRun } from "./follow.ts";
import { openClient } from "./session.ts";
import { attempt, execution, ids, jobInState, jobSeed, output, run, step } from "./testing/fixtures.ts";
import { openEventStream, StandInServer, StreamedLog } from "@shipfox/shared/stand-in-server.fixture";

class Recorder implements FollowSink {
  readonly lines: string[] = [];
  onLine: (line: string) => void = () => undefined;
  #add(line: string): void {
    this.lines.push(line);
    this.onLine(line);
  }
  event: FollowSink["event"] = async (event) => {
    if (event.type !== "log") this.#add(`${event.type === "run" ? "" : `${event.job}: `}${event.type} ${event.status}`);
  };
  records: FollowSink["records"] = async (log, records) => {
    for (const record of records)
      this.#add(`${log.job}: > ${record.type === "output" ? record.data.trim() : record.type}`);
  };
  logEnded: FollowSink["logEnded"] = async (log, end) => {
    this.#add(`${log.job}: log ${end.complete ? "complete" : "left"}`);
  };
  notice = (text: string) => this.#add(`! ${text}`);
}

interface Stage {
  run: RunDetail;
}

function follow(
  server: StandInServer,
  sink: FollowSink,
  options: { signal?: AbortSignal; tailSilenceMs?: number } = {},
) {
  const api = openClient(server.url);
  return followRun({ api, runId: ids.run, sink, signal: new AbortController().signal, ...options });
}

function serveLog(response: ServerResponse, ...lines: string[]): undefined {
  openEventStream(response);
  const log = new StreamedLog().add(...lines.map((line) => output(`${line}\n`)));
  response.end(log.after("0").join("") + StreamedLog.end(false));
  return undefined;
}

describe("following a run", () => {
  it("shows jobs, steps and live lines in order and returns the last state", async () => {
    await using server = await StandInServer.start();
    const seed = jobSeed();
    const stage: Stage = { run: run("running", [jobInState(seed, "running")]) };
    server.on("GET /workflows/runs/*", () => ({ body: stage.run }));
    server.on(`GET /steps/${seed.step}/attempts/1/logs/stream`, (_request, response) => {
      stage.run = run("succeeded", [jobInState(seed, "succeeded")]);
      return serveLog(response, "one", "two");
    });
    const sink = new Recorder();

    const last = await follow(server, sink);

    expect(last?.status).toBe("succeeded");
    expect(sink.lines).toEqual([
      "run running",
      "build: execution running",
      "build: step running",
      "build: > one",
      "build: > two",
      "build: log complete",
      "build: step succeeded",
      "build: execution succeeded",
      "build: job succeeded",
      "run succeeded",
    ]);
  });

  it("ends a step after the last line of its log, although the run was seen finished before", async () => {
    await using server = await StandInServer.start();
    const seed = jobSeed();
    server.on("GET /workflows/runs/*", { body: run("failed", [jobInState(seed, "failed")]) });
    server.on("GET /steps/*/attempts/1/logs/stream", (_request, response) => {
      openEventStream(response);
      const [first = "", second = ""] = new StreamedLog().add(output("a\n")).add(output("b\n")).after("0");
      response.write(first, () => setImmediate(() => response.end(second + StreamedLog.end(false))));
      return undefined;
    });
    const sink = new Recorder();
    await follow(server, sink);
    expect(sink.lines.slice(-6)).toEqual([
      "build: > b",
      "build: log complete",
      "build: step failed",
      "build: execution failed",
      "build: job failed",
      "run failed",
    ]);
  });

  it("does not wait for the log of a lost runner, and shows the second execution meanwhile", async () => {
    await using server = await StandInServer.start();
    const seed = jobSeed();
    const second = step({ status: "succeeded", attempts: [attempt({ status: "succeeded" })] });
    const again = execution({ sequence: 2, status: "succeeded", steps: [second] });
    const ended = jobInState(seed, "succeeded");
    const lost = jobInState(seed, "cancelled").job_executions.map((first) => ({
      ...first,
      status_reason: "runner_lost",
    }));
    server.on("GET /workflows/runs/*", { body: run("succeeded", [{ ...ended, job_executions: [...lost, again] }]) });
    server.on(`GET /steps/${second.id}/attempts/1/logs/stream`, (_request, response) => serveLog(response, "second"));
    server.on(`GET /steps/${seed.step}/attempts/1/logs/stream`, (_request, response) => {
      openEventStream(response);
      response.write(new StreamedLog().add(output("first\n")).after("0").join(""));
      return undefined;
    });
    const sink = new Recorder();
    await follow(server, sink, { tailSilenceMs: 300 });
    expect(sink.lines).toContain("build: > first");
    expect(sink.lines.indexOf("build: log complete")).toBeLessThan(sink.lines.indexOf("build: log left"));
    expect(sink.lines.at(-1)).toBe("run succeeded");
  });

  it("goes on after the control plane was away", async () => {
    await using server = await StandInServer.start();
    let looks = 0;
    server.on("GET /workflows/runs/*", () => {
      looks += 1;
      if (looks === 1) return { status: 503, body: { code: "shutting-down", message: "The server is stopping." } };
      return { body: run("succeeded", []) };
    });
    const sink = new Recorder();
    expect((await follow(server, sink))?.status).toBe("succeeded");
    expect(sink.lines.filter((line) => line.startsWith("!"))).toHaveLength(2);
  });

  it("treats a log that is gone as empty", async () => {
    await using server = await StandInServer.start();
    server.on("GET /workflows/runs/*", { body: run("succeeded", [jobInState(jobSeed(), "succeeded")]) });
    const sink = new Recorder();
    await follow(server, sink);
    expect(sink.lines).toContain("build: log complete");
  });

  it("stops with the server's error when a log is refused", async () => {
    await using server = await StandInServer.start();
    server.on("GET /workflows/runs/*", { body: run("running", [jobInState(jobSeed(), "running")]) });
    server.on("GET /steps/*/attempts/1/logs/stream", { status: 403, body: { code: "forbidden", message: "no" } });
    await expect(follow(server, new Recorder())).rejects.toMatchObject({ code: "forbidden" });
  });

  it("detaches at once and writes nothing more", async () => {
    await using server = await StandInServer.start();
    server.on("GET /workflows/runs/*", { body: run("running", [jobInState(jobSeed(), "running")]) });
    server.on("GET /steps/*/attempts/1/logs/stream", (_request, response) => {
      openEventStream(response);
      response.write(new StreamedLog().add(output("a\n")).after("0").join(""));
      return undefined;
    });
    const stop = new AbortController();
    const sink = new Recorder();
    sink.onLine = (line) => line.endsWith("> a") && stop.abort();
    expect(await follow(server, sink, { signal: stop.signal })).toBeNull();
    expect(sink.lines.at(-1)).toBe("build: > a");
  });
});
