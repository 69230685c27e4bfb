import { mkdir } from "node:fs/promises";
import { Agent, get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RunDetail } from "@shipfox/shared/api/runs";
import { decodeLogRecords, type LogRecord } from "@shipfox/shared/log-records";
import { createParser } from "eventsource-parser";
import { createRegistrationToken, type ControlPlane } from "../control-plane.ts";
import type { JsonClient } from "../json-client.ts";
import { type ServerProcess, startProcess } from "../server-process.ts";

const RUNNER_COMMAND = fileURLToPath(import.meta.resolve("../../../runner/bin/shipfox-runner"));
const LINE_TIMEOUT_MS = 60_000;

export interface Runner {
  readonly process: ServerProcess;
  readonly stateFolder: string;
}

export interface RunnerPlan {
  readonly label: string;
  /** Docker's image and how many containers are started ahead; null is the host sandbox. */
  readonly docker: { readonly image: string; readonly warm: 0 | 1 } | null;
}

/** The real runner, one job at a time. */
export async function startRunner(
  client: JsonClient,
  plane: ControlPlane,
  folder: string,
  plan: RunnerPlan,
  resources: AsyncDisposableStack,
): Promise<Runner> {
  await mkdir(folder, { mode: 0o755 });
  const stateFolder = join(folder, "state");
  const server = startProcess(
    {
      name: `the runner ${plan.label}`,
      command: RUNNER_COMMAND,
      env: {
        SHIPFOX_API_URL: plane.url,
        SHIPFOX_RUNNER_REGISTRATION_TOKEN: await createRegistrationToken(client, plane),
        SHIPFOX_RUNNER_STATE_DIR: stateFolder,
        SHIPFOX_RUNNER_LABELS: plan.label,
        SHIPFOX_RUNNER_NAME: plan.label,
        ...(plan.docker === null
          ? { SHIPFOX_RUNNER_SANDBOX: "host" }
          : { SHIPFOX_RUNNER_IMAGE: plan.docker.image, SHIPFOX_RUNNER_WARM: String(plan.docker.warm) }),
        SHIPFOX_LOG_LEVEL: "warn",
      },
      logFile: join(folder, "runner.log"),
    },
    resources,
  );
  return { process: server, stateFolder };
}

/** A workflow of one job with one step, for the runner with this label. */
export function workflow(label: string, command: string): string {
  return `name: First line on ${label}
runner: ${label}
triggers:
  by_hand: { source: manual, event: fire }
jobs:
  only:
    checkout: false
    steps:
      - run: ${JSON.stringify(command)}
`;
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

  /** Fires the workflow and hands over each record of its run step as it comes. Resolves after the end of the log. */
  async follow(definitionId: string, onRecord: (record: LogRecord) => void): Promise<void> {
    const { token } = this.#plane;
    const fired = await this.#client.call<{ workflow_run_id: string }>(
      "POST",
      `/workflow-definitions/${definitionId}/fire-manual`,
      { token, body: {} },
    );
    const detail = await this.#client.call<RunDetail>("GET", `/workflows/runs/${fired.workflow_run_id}`, { token });
    const steps = detail.jobs.flatMap((job) => job.job_executions.flatMap((execution) => execution.steps));
    const step = steps.find(({ type }) => type === "run");
    if (!step) throw new Error("the run that was just fired shows no run step");
    await this.#readLog(step.id, onRecord);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #readLog(stepId: string, onRecord: (record: LogRecord) => void): Promise<void> {
    const response = await this.#open(`/steps/${stepId}/attempts/1/logs/stream`);
    let isOver = false;
    const parser = createParser({
      onEvent: ({ event, data }) => {
        if (event === "end") isOver = true;
        if (event === "log") for (const record of decodeLogRecords(data)) onRecord(record);
      },
    });
    response.setEncoding("utf8");
    for await (const chunk of response) parser.feed(chunk as string);
    if (!isOver) throw new Error("the event stream of a log broke off");
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
