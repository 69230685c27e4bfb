import { decodeLogRecords } from "@shipfox/shared/log-records";
import { type PlaneAnswer, type PlaneRequest, StandInLog, type StandInPlane } from "./stand-in-plane.fixture.ts";

const NOW = "2026-01-01T00:00:00.000Z";

export interface ScriptedStep {
  type?: string;
  config: Record<string, unknown>;
}

interface ScriptedJob {
  id: string;
  steps: ScriptedStep[];
  position: number;
  /** What the heartbeat answers, besides keeping the lease alive. */
  cancel: boolean;
  isGone: boolean;
  /** Whether steps say that they are the last one, as our own control plane does. */
  tellsLast: boolean;
}

const idOf = (kind: number, number: number) => `0000000${kind}-0000-7000-8000-${String(number).padStart(12, "0")}`;

/** Routes of a control plane that offers the jobs a test enqueues, with everything that the runner told it. */
export class StandInJobs {
  readonly reports: Record<string, unknown>[] = [];
  readonly releases: { jobId: string; reason: string; message?: string }[] = [];
  readonly annotations: { step_id: string; annotations: { context: string; style?: string; body?: string }[] }[] = [];
  readonly logs = new Map<string, StandInLog>();
  readonly registrations: { token: string; body: Record<string, unknown> }[] = [];
  endedSessions = 0;
  parkedClaims = 0;
  private readonly queue: ScriptedJob[] = [];
  private readonly jobs = new Map<string, ScriptedJob>();
  private readonly wakers = new Set<() => void>();
  private readonly watchers: { condition: () => boolean; resolve: () => void }[] = [];
  private count = 0;

  constructor(plane: StandInPlane) {
    const route = (pattern: RegExp, handler: (request: PlaneRequest) => PlaneAnswer | Promise<PlaneAnswer>) =>
      plane.on(pattern, async (request) => {
        const answer = await handler(request);
        setImmediate(() => this.tell());
        return answer;
      });
    route(/^POST \/runners\/register$/, (request) => this.register(request));
    route(/^POST \/runners\/jobs\/request$/, (request) => this.claim(request));
    route(/^POST \/runners\/jobs\/[^/]+\/heartbeat$/, (request) => this.heartbeat(request));
    route(/^POST \/runners\/jobs\/[^/]+\/release$/, (request) => this.release(request));
    route(/^POST \/runs\/jobs\/current\/steps\/[^/]+\/report$/, (request) => this.report(request));
    route(/^POST \/runs\/jobs\/current\/steps\/[^/]+\/logs$/, (request) => this.log(request));
    route(/^POST \/runs\/jobs\/current\/annotations$/, (request) => {
      this.annotations.push(JSON.parse(request.body.toString()));
      return { status: 200, json: { annotations: [], accounting: { annotation_count: 0, total_body_bytes: 0 } } };
    });
    route(/^DELETE \/runners\/session$/, () => {
      this.endedSessions += 1;
      return { status: 204 };
    });
  }

  enqueue(steps: ScriptedStep[]): ScriptedJob {
    this.count += 1;
    const job = {
      id: idOf(1, this.count),
      steps: [{ type: "setup", config: {} }, ...steps],
      position: 0,
      cancel: false,
      isGone: false,
      tellsLast: true,
    };
    this.queue.push(job);
    this.jobs.set(job.id, job);
    for (const wake of this.wakers) wake();
    return job;
  }

  /** Resolves as soon as `condition` holds after some request was answered. */
  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => this.watchers.push({ condition, resolve }));
  }

  /** What a job's steps printed, the runner's own lines included. */
  output(job: ScriptedJob): string {
    const ids = job.steps.map((_, index) => stepIdOf(job, index));
    const content = ids.map((id) => this.logs.get(id)?.content.toString() ?? "").join("");
    return decodeLogRecords(content)
      .map((record) => (record.type === "output" ? record.data : ""))
      .join("");
  }

  private tell(): void {
    for (const watcher of this.watchers.filter(({ condition }) => condition())) {
      this.watchers.splice(this.watchers.indexOf(watcher), 1);
      watcher.resolve();
    }
  }

  private register(request: PlaneRequest): PlaneAnswer {
    this.registrations.push({ token: request.token, body: JSON.parse(request.body.toString()) });
    const number = this.registrations.length;
    const reply = {
      session_token: `session-${number}`,
      session_id: idOf(2, number),
      mode: "manual",
      max_claims: null,
      runner_id: idOf(3, 1),
      runner_token: `sf_rt_number${number}`,
    };
    return { status: 200, json: reply };
  }

  private async claim(request: PlaneRequest): Promise<PlaneAnswer> {
    if (this.queue.length === 0 && request.query.get("wait_seconds") !== "0") {
      this.parkedClaims += 1;
      this.tell();
      await Promise.race([request.gone, new Promise<void>((resolve) => this.wakers.add(resolve))]);
      this.parkedClaims -= 1;
    }
    const job = this.queue.shift();
    if (job === undefined) return { status: 204 };
    const number = this.count;
    return {
      status: 200,
      json: {
        workflow_run_id: idOf(4, number),
        workflow_run_attempt_id: idOf(5, number),
        job_id: job.id,
        job_execution_id: idOf(6, number),
        lease_token: `lease-${job.id}`,
        next: nextOf(job),
        lease: { fence: 1, term_ms: 40_000, heartbeat_interval_ms: 100 },
        job: {
          workspace_id: idOf(7, 1),
          project_id: idOf(8, 1),
          project_name: "demo",
          workflow_name: "ci",
          run_number: 7,
          run_attempt: 1,
          job_key: "build",
          execution_sequence: 1,
        },
      },
    };
  }

  private heartbeat(request: PlaneRequest): PlaneAnswer {
    const job = this.jobs.get(request.path.split("/")[3] as string);
    if (job === undefined || job.isGone)
      return { status: 404, json: { code: "running-job-execution-not-found", details: { reason: "superseded" } } };
    return { status: 200, json: { cancel: job.cancel, lease_token: request.token, drain: false } };
  }

  private release(request: PlaneRequest): PlaneAnswer {
    this.releases.push({ jobId: request.path.split("/")[3] as string, ...JSON.parse(request.body.toString()) });
    return { status: 200, json: {} };
  }

  private report(request: PlaneRequest): PlaneAnswer {
    const body = JSON.parse(request.body.toString());
    this.reports.push(body);
    const job = [...this.jobs.values()].find(
      (candidate) => stepIdOf(candidate, candidate.position) === request.path.split("/")[5],
    );
    if (job === undefined) return { status: 404, json: { code: "lease-not-active" } };
    job.position = body.status === "failed" ? job.steps.length : job.position + 1;
    return { status: 200, json: { ok: true, cancel: false, next: nextOf(job) } };
  }

  private log(request: PlaneRequest): PlaneAnswer {
    const stepId = request.path.split("/")[5] as string;
    const log = this.logs.get(stepId) ?? new StandInLog();
    this.logs.set(stepId, log);
    return log.append(Number(request.query.get("offset")), request.body);
  }
}

function stepIdOf(job: ScriptedJob, index: number): string {
  return `${job.id.slice(0, 9)}${String(index).padStart(4, "0")}${job.id.slice(13)}`.replace(
    /^.{8}-(.{4})-(.{4})/,
    "00000009-$1-7000",
  );
}

function nextOf(job: ScriptedJob): unknown {
  const step = job.steps[job.position];
  if (step === undefined) return { kind: "done", status: "succeeded" };
  return {
    kind: "step",
    attempt: 1,
    lease_token: `lease-${job.id}-${job.position}`,
    ...(job.tellsLast ? { last: { succeeded: job.position === job.steps.length - 1, failed: true } } : {}),
    step: {
      id: stepIdOf(job, job.position),
      job_execution_id: job.id,
      key: null,
      name: `step ${job.position}`,
      source_location: null,
      status: "running",
      status_reason: null,
      type: step.type ?? "run",
      config: step.config,
      evaluation_trace: null,
      error: null,
      position: job.position,
      current_attempt: 1,
      created_at: NOW,
      updated_at: NOW,
    },
  };
}
