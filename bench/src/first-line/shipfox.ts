import { mkdir } from "node:fs/promises";
import { Agent, get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RunDetail } from "@shipfox/shared/api/runs";
import { decodeLogRecords } from "@shipfox/shared/log-records";
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
  readonly image: string;
  /** Containers started ahead. */
  readonly warm: 0 | 1;
}

/** The real runner with the Docker sandbox, one job at a time. */
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
        SHIPFOX_RUNNER_IMAGE: plan.image,
        SHIPFOX_RUNNER_WARM: String(plan.warm),
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
    const { token } = this.#plane;
    const startedAt = performance.now();
    const fired = await this.#client.call<{ workflow_run_id: string }>(
      "POST",
      `/workflow-definitions/${definitionId}/fire-manual`,
      { token, body: {} },
    );
    const detail = await this.#client.call<RunDetail>("GET", `/workflows/runs/${fired.workflow_run_id}`, { token });
    const steps = detail.jobs.flatMap((job) => job.job_executions.flatMap((execution) => execution.steps));
    const step = steps.find(({ type }) => type === "run");
    if (!step) throw new Error("the run that was just fired shows no run step");
    const seenAt = await this.#firstOutput(step.id, expected);
    return seenAt - startedAt;
  }

  close(): void {
    this.#agent.destroy();
  }

  async #firstOutput(stepId: string, expected: string): Promise<number> {
    const response = await this.#open(`/steps/${stepId}/attempts/1/logs/stream`);
    let seenAt: number | null = null;
    let isOver = false;
    const parser = createParser({
      onEvent: ({ event, data }) => {
        if (event === "end") isOver = true;
        if (event !== "log" || seenAt !== null) return;
        const records = decodeLogRecords(data);
        if (records.some((record) => record.type === "output" && record.data.trimEnd() === expected)) {
          seenAt = performance.now();
        }
      },
    });
    response.setEncoding("utf8");
    for await (const chunk of response) parser.feed(chunk as string);
    if (seenAt === null || !isOver) throw new Error(`the log ended without the line "${expected}"`);
    return seenAt;
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
