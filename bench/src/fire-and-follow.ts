import { Agent, get, type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type RunDetail, type Step, TERMINAL_STATUSES } from "@shipfox/shared/api/runs";
import { logStateSchema } from "@shipfox/shared/api/logs";
import { decodeLogRecords, type LogRecord } from "@shipfox/shared/log-records";
import { createParser } from "eventsource-parser";
import type { ControlPlane } from "./control-plane.ts";
import type { JsonClient } from "./json-client.ts";

const LINE_TIMEOUT_MS = 60_000;
const END_TIMEOUT_MS = 120_000;
const END_POLL_MS = 10;

/** A workflow of one job, fired by hand, for the runner with this label: a step for each command. */
export function workflow(label: string, commands: readonly string[], options: { checkout?: boolean } = {}): string {
  return `name: Bench on ${label}
runner: ${label}
triggers:
  by_hand: { source: manual, event: fire }
jobs:
  only:
${options.checkout ? "" : "    checkout: false\n"}    steps:
${commands.map((command) => `      - run: ${JSON.stringify(command)}\n`).join("")}`;
}

/** The steps of a run's only job, or those of its newest execution. */
export function stepsOf(detail: RunDetail): Step[] {
  return detail.jobs.flatMap((job) => job.job_executions.at(-1)?.steps ?? []);
}

export function runStepsOf(detail: RunDetail): Step[] {
  return stepsOf(detail).filter(({ type }) => type === "run");
}

/** Fires a workflow by hand and reads along: how it looks to a user. */
export class FireAndFollow {
  readonly #client: JsonClient;
  readonly #plane: ControlPlane;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 2 });

  constructor(client: JsonClient, plane: ControlPlane) {
    this.#client = client;
    this.#plane = plane;
  }

  /**
   * From the fire-manual request to the moment when `expected`, the first line that the step's command prints, has been read
   * from the event stream, in milliseconds. What the runner itself writes before it does not count. Resolves after the end of
   * the log.
   */
  async run(definitionId: string, expected: string): Promise<number> {
    const startedAt = performance.now();
    let seenAt: number | null = null;
    await this.follow(definitionId, (record) => {
      if (seenAt === null && record.type === "output" && record.data.trimEnd() === expected) seenAt = performance.now();
    });
    if (seenAt === null) throw new Error(`the log ended without the line "${expected}"`);
    return seenAt - startedAt;
  }

  /** Fires the workflow and hands over each record of its first run step as it comes. Resolves after the end of the log. */
  async follow(definitionId: string, onRecord: (record: LogRecord, runId: string) => void): Promise<string> {
    const runId = await this.fire(definitionId);
    const [step] = runStepsOf(await this.detail(runId));
    if (!step) throw new Error("the run that was just fired shows no run step");
    await this.readLog(step.id, (record) => onRecord(record, runId));
    return runId;
  }

  /** Answers the run's id. */
  async fire(definitionId: string): Promise<string> {
    const path = `/workflow-definitions/${definitionId}/fire-manual`;
    const fired = await this.#client.call<{ workflow_run_id: string }>("POST", path, {
      token: this.#plane.token,
      body: {},
    });
    return fired.workflow_run_id;
  }

  async detail(runId: string): Promise<RunDetail> {
    return await this.#client.call<RunDetail>("GET", `/workflows/runs/${runId}`, { token: this.#plane.token });
  }

  async cancel(runId: string, options: { force: boolean }): Promise<void> {
    await this.#client.call("POST", `/workflows/runs/${runId}/cancel`, { token: this.#plane.token, body: options });
  }

  async untilOver(runId: string): Promise<RunDetail> {
    return await this.until(runId, "is over", ({ status }) => TERMINAL_STATUSES.has(status));
  }

  /** Looks every 10 ms. */
  async until(runId: string, what: string, holds: (detail: RunDetail) => boolean): Promise<RunDetail> {
    const deadline = performance.now() + END_TIMEOUT_MS;
    while (performance.now() < deadline) {
      const detail = await this.detail(runId);
      if (holds(detail)) return detail;
      await sleep(END_POLL_MS);
    }
    throw new Error(`it did not happen in ${END_TIMEOUT_MS} ms that run ${runId} ${what}`);
  }

  /** Hands over each record of a step's log as it comes. Resolves after the end of the log. */
  async readLog(stepId: string, onRecord: (record: LogRecord) => void): Promise<void> {
    const response = await this.#open(`/steps/${stepId}/attempts/1/logs/stream`);
    let isOver = false;
    const parser = createParser({
      onEvent: ({ event, data }) => {
        if (event === "state") isOver = logStateSchema.parse(JSON.parse(data)).state === "end";
        if (event === "log") for (const record of decodeLogRecords(data)) onRecord(record);
      },
    });
    response.setEncoding("utf8");
    for await (const chunk of response) parser.feed(chunk as string);
    if (!isOver) throw new Error("the event stream of a log broke off");
  }

  close(): void {
    this.#agent.destroy();
  }

  #open(path: string): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers = { authorization: `Bearer ${this.#plane.token}`, accept: "text/event-stream" };
    const signal = AbortSignal.timeout(LINE_TIMEOUT_MS);
    get(new URL(path, this.#plane.url), { agent: this.#agent, headers, signal }, (response) => {
      if (response.statusCode === 200) resolve(response);
      else reject(new Error(`${path} was answered with ${response.statusCode}`));
    }).once("error", reject);
    return promise;
  }
}
