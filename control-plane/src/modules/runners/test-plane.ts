import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@shipfox/shared/ids";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import type { Store } from "../../store/store.ts";
import { systemClock } from "../../store/clock.ts";
import { claim, Dispatch, heartbeat, leaseEndedAt, releaseLease, type DispatchSettings } from "../dispatch/public.ts";
import { Evaluator } from "../expressions/public.ts";
import { Logs } from "../logs/public.ts";
import {
  type EndingsPort,
  cancelRun,
  nextStep,
  reportStep,
  rerunRun,
  runDueExecutions,
  runDueListeners,
  runDueMembers,
  startRun,
  type StartRun,
} from "../runs/public.ts";
import { asRunnable, CallLinker, parseWorkflow, resolveVariables, type WorkflowPlan } from "../workflow/public.ts";
import type { LeasePrincipal } from "../../http/route.ts";
import { insertRegistrationToken, makeRegistrationToken } from "./registration-tokens.ts";
import { noInstances } from "./no-instances.fixture.ts";
import { freshIdentity, register, type Registered } from "./register.ts";

const SETTINGS: DispatchSettings = {
  leaseTermMs: 4_000,
  heartbeatIntervalMs: 1_000,
  cancelLimitMs: 2_500,
  avoidMs: 6_000,
  logTailMs: 1_000,
  maxConcurrentRuns: 0,
};
const COMMIT = "c".repeat(40);
const LOG_SETTINGS = {
  budgetBaseBytes: 1 << 20,
  budgetPerMinuteBytes: 1 << 20,
  closeGraceMs: 1_000,
  archiveAfterMs: 600_000,
  retentionMs: 86_400_000,
};

/** A step as a runner gets it. */
export interface PlayedStep {
  readonly job: string;
  readonly name: string;
  readonly attempt: number;
  readonly config: Readonly<Record<string, unknown>>;
}

export interface PlayedResult {
  readonly exit?: number;
  readonly outputs?: Record<string, string>;
}

/** The dispatch side of a control plane on a real store, without HTTP: a workspace with one project, and verbs to act on it. */
export class TestPlane {
  readonly store: Store;
  readonly dispatch: Dispatch;
  readonly workspaceId = newId();
  readonly projectId = newId();
  readonly dueAt: number[] = [];
  /** What variables are now. */
  readonly variables = new Map<string, string>();

  /** Where the files of logs are. */
  readonly logFolder: string;

  private constructor(store: Store, dispatch: Dispatch, logFolder: string) {
    this.store = store;
    this.dispatch = dispatch;
    this.logFolder = logFolder;
  }

  static async start(
    store: Store,
    settings: Partial<DispatchSettings> = {},
    {
      endings = { runEnded: async () => {} },
      onDemandChange = () => {},
    }: { endings?: EndingsPort; onDemandChange?: ((workspaceId: string) => void) | undefined } = {},
  ): Promise<TestPlane> {
    const dir = await mkdtemp(join(tmpdir(), "shipfox-plane-"));
    const log = pino({ level: "silent" });
    const forUpdate = store.sql.forUpdate;
    const logs = new Logs({
      store,
      clock: systemClock,
      log,
      dir,
      settings: LOG_SETTINGS,
      leaseEndedAt: (tx, executionId) => leaseEndedAt(tx, forUpdate, executionId),
    });
    await logs.recover();
    const dueAt: number[] = [];
    let variables: ReadonlyMap<string, string> = new Map();
    const evaluator = new Evaluator();
    const dispatch = new Dispatch({
      store,
      clock: systemClock,
      log,
      logs,
      evaluator,
      readVariables: async () => variables,
      endings,
      settings: { ...SETTINGS, ...settings },
      armDue: (at) => void dueAt.push(at),
      onDemandChange,
    });
    await dispatch.recover();
    onTestFinished(async () => {
      dispatch.waiters.stop();
      await evaluator.close();
      await logs.close();
      await rm(dir, { recursive: true, force: true });
    });
    const plane = new TestPlane(store, dispatch, dir);
    plane.dueAt.push(...dueAt);
    variables = plane.variables;
    await plane.#seed();
    return plane;
  }

  async #seed(): Promise<void> {
    const now = Date.now();
    const connectionId = newId();
    await this.store.write(async (tx) => {
      await tx.run(
        "insert into workspaces (id, name, slug, status, last_event, created_at, updated_at) values (?, 'w', ?, 'active', 0, ?, ?)",
        [this.workspaceId, this.workspaceId, now, now],
      );
      await tx.run(
        `insert into connections (id, workspace_id, provider, external_account_id, slug, display_name, lifecycle_status, settings, created_at, updated_at)
         values (?, ?, 'git', 'x', 'git', 'git', 'active', '{}', ?, ?)`,
        [connectionId, this.workspaceId, now, now],
      );
      await this.#project(tx, this.projectId, connectionId, now);
    });
  }

  async #project(
    tx: Parameters<Parameters<Store["write"]>[0]>[0],
    projectId: string,
    connectionId: string,
    now: number,
  ): Promise<void> {
    await tx.run(
      `insert into projects (id, workspace_id, name, slug, connection_id, external_repository_id, default_branch, created_at, updated_at)
       values (?, ?, 'p', ?, ?, ?, 'main', ?, ?)`,
      [projectId, this.workspaceId, projectId, connectionId, `git:${projectId}`, now, now],
    );
  }

  async addProject(): Promise<string> {
    const projectId = newId();
    await this.store.write(async (tx) => {
      const connection = await tx.get<{ id: string }>("select id from connections where workspace_id = ?", [
        this.workspaceId,
      ]);
      await this.#project(tx, projectId, connection?.id ?? "", Date.now());
    });
    return projectId;
  }

  /** Starts a run of a workflow given as YAML. */
  async fire(
    yaml: string,
    projectId = this.projectId,
    overLimit: "wait" | "reject" = "wait",
    {
      inputs = null,
      trigger = { provider: "manual", source: "manual", event: "fire", payload: {} },
      variables = {},
      ref,
      untrusted = false,
      files = {},
    }: Partial<Pick<StartRun, "inputs" | "trigger">> & {
      variables?: Record<string, string>;
      untrusted?: boolean;
      ref?: string;
      /** The workflows that it calls, by their names in the folder of workflows. */
      files?: Record<string, string>;
    } = {},
  ): Promise<string> {
    const parsed = parseWorkflow(yaml);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.diagnostics));
    const runnable = asRunnable(link(parsed.model, files));
    const resolved = runnable && resolveVariables(runnable, new Map(Object.entries(variables)));
    const model = resolved?.ok ? resolved.model : null;
    if (!model) throw new Error(JSON.stringify(parsed.notRunnable));
    const definitionId = newId();
    const now = Date.now();
    const { runId } = await this.store.write(async (tx) => {
      await tx.run(
        `insert into definitions (id, workspace_id, project_id, source, name, yaml, document, model, last_run_number, fetched_at, created_at, updated_at)
         values (?, ?, ?, 'manual', 'x', '', '{}', '{}', 0, ?, ?, ?)`,
        [definitionId, this.workspaceId, projectId, now, now, now],
      );
      return startRun(tx, this.dispatch.runs, {
        workspaceId: this.workspaceId,
        projectId,
        definitionId,
        model,
        workflowYaml: yaml,
        trigger: {
          reference: ref === undefined ? null : { repository: null, ref, commit: COMMIT, actor: null },
          ...trigger,
        },
        pinnedCommit: ref === undefined ? null : COMMIT,
        untrusted,
        inputs,
        overLimit,
        now,
      });
    });
    return runId;
  }

  async register(
    labels: string[] = ["linux"],
    options: { token?: string; persistent?: boolean; image?: boolean } = {},
  ): Promise<Registered> {
    const token = options.token ?? (await this.registrationToken());
    const now = Date.now();
    const fresh = freshIdentity(now);
    return this.store.write((tx) =>
      register(
        tx,
        { dispatch: this.dispatch, instances: noInstances },
        {
          token,
          labels,
          capabilities: options.image ? { image: true } : {},
          persistent: options.persistent ?? false,
          name: null,
          version: null,
          key: null,
        },
        fresh,
        now,
      ),
    );
  }

  async registrationToken(limits: { maxUses?: number; ttlSeconds?: number } = {}): Promise<string> {
    const made = makeRegistrationToken(
      {
        workspaceId: this.workspaceId,
        name: null,
        ttlSeconds: limits.ttlSeconds ?? null,
        maxUses: limits.maxUses ?? null,
        createdBy: "test",
      },
      Date.now(),
    );
    await this.store.write((tx) => insertRegistrationToken(tx, made.row));
    return made.raw;
  }

  claim(sessionId: string, options: { waitMs?: number; key?: string; signal?: AbortSignal } = {}) {
    return claim(this.dispatch, {
      sessionId,
      waitMs: options.waitMs ?? 0,
      key: options.key ?? null,
      withNext: false,
      signal: options.signal ?? new AbortController().signal,
    });
  }

  /** The lease as its token would carry it. */
  async principal(fence: number): Promise<LeasePrincipal> {
    const row = await this.store.read((tx) =>
      tx.get<Record<string, string>>("select * from leases where fence = ?", [fence]),
    );
    if (!row) throw new Error("no such lease");
    return {
      fence,
      sessionId: row["session_id"] ?? "",
      runnerId: row["runner_id"] ?? "",
      workspaceId: row["workspace_id"] ?? "",
      projectId: row["project_id"] ?? "",
      runId: row["run_id"] ?? "",
      runAttemptId: row["run_attempt_id"] ?? "",
      runAttempt: 1,
      jobId: row["job_id"] ?? "",
      executionId: row["job_execution_id"] ?? "",
      stepId: null,
      stepAttempt: null,
    };
  }

  async heartbeat(fence: number, waitMs = 0, knowsCancel = false) {
    return heartbeat(this.dispatch, await this.principal(fence), {
      waitMs,
      knowsCancel,
      signal: new AbortController().signal,
    });
  }

  next(executionId: string) {
    const now = Date.now();
    return this.store.write((tx) => nextStep(tx, this.dispatch.runs, executionId, now));
  }

  report(executionId: string, stepId: string, status: "succeeded" | "failed", attempt = 1) {
    const body = {
      status,
      log_outcome: "drained" as const,
      attempt,
      ...(status === "failed" ? { error: { message: "exited with code 1", exit_code: 1 } } : { exit_code: 0 }),
    };
    const now = Date.now();
    return this.store.write((tx) => reportStep(tx, this.dispatch.runs, executionId, stepId, body, now));
  }

  /**
   * Claims and runs all that is queued, until nothing is, as `script` says of each step: its exit code and what it writes as
   * outputs. Answers what ran, each step as its job's key, its own name and what its environment is.
   */
  async work(sessionId: string, script: (step: PlayedStep) => PlayedResult = () => ({})): Promise<PlayedStep[]> {
    const ran: PlayedStep[] = [];
    for (let claimed = await this.claim(sessionId); claimed !== null; claimed = await this.claim(sessionId)) {
      const { executionId } = claimed;
      const job = await this.store.read((tx) =>
        tx.get<{ key: string }>("select j.key from job_executions e join jobs j on j.id = e.job_id where e.id = ?", [
          executionId,
        ]),
      );
      for (let next = await this.next(executionId); next.kind === "step"; next = await this.next(executionId)) {
        const { step, attempt } = next;
        const played = { job: job?.key ?? "", name: step.name, attempt, config: step.config };
        if (step.position > 0) ran.push(played);
        const { exit = 0, outputs } = step.position > 0 ? script(played) : {};
        const error = exit === 0 ? {} : { error: { message: `exited with code ${exit}`, exit_code: exit } };
        const report = {
          status: exit === 0 ? ("succeeded" as const) : ("failed" as const),
          log_outcome: "drained" as const,
          attempt,
          exit_code: exit,
          ...error,
          ...(outputs ? { output: outputs } : {}),
        };
        const now = Date.now();
        await this.store.write((tx) => reportStep(tx, this.dispatch.runs, executionId, step.id, report, now));
      }
    }
    return ran;
  }

  /** Runs the steps of an execution to its end; `fail` names the position of a step that fails. */
  async finish(executionId: string, fail?: number): Promise<"succeeded" | "failed"> {
    for (;;) {
      const next = await this.next(executionId);
      if (next.kind === "done") return next.status;
      await this.report(executionId, next.step.id, next.step.position === fail ? "failed" : "succeeded");
    }
  }

  cancel(runId: string, force = false) {
    return this.store.write((tx) => cancelRun(tx, this.dispatch.runs, runId, { force, now: Date.now() }));
  }

  rerun(runId: string, mode: "all" | "failed") {
    return this.store.write((tx) => rerunRun(tx, this.dispatch.runs, runId, { mode, now: Date.now() }));
  }

  async runDue(now: number) {
    const due = [
      await runDueExecutions(this.store, this.dispatch.runs, now),
      await runDueListeners(this.store, this.dispatch.runs, now),
    ].filter((at) => at !== null);
    return due.length === 0 ? null : Math.min(...due);
  }

  /** What the due loop does for concurrency groups. */
  runDueMembers() {
    return runDueMembers(this.store, this.dispatch.runs, Date.now());
  }

  /** The runner of a cancelled job says that everything of it is dead, or that of another one gives it back. */
  async release(fence: number): Promise<void> {
    const principal = await this.principal(fence);
    await this.store.write((tx) => releaseLease(tx, this.dispatch, principal, { reason: "draining" }, Date.now()));
  }

  run(runId: string) {
    return this.store.read(async (tx) => ({
      status: (await tx.get<{ status: string }>("select status from runs where id = ?", [runId]))?.status,
      jobs: await tx.all<{ key: string; status: string; status_reason: string | null }>(
        "select key, status, status_reason from jobs where run_id = ? order by position",
        [runId],
      ),
      executions: await tx.all<{
        id: string;
        sequence: number;
        status: string;
        status_reason: string | null;
        status_reason_message: string | null;
        queued_at: number | null;
        due_at: number | null;
      }>(
        "select id, sequence, status, status_reason, status_reason_message, queued_at, due_at from job_executions where run_id = ? order by job_id, sequence",
        [runId],
      ),
      events: (await tx.all<{ type: string }>("select type from run_events where run_id = ? order by id", [runId])).map(
        (row) => row.type,
      ),
    }));
  }
}

/** A workflow of one job with one step, or the given jobs. */
export function workflow(jobs = "  build:\n    runner: linux\n    steps: [{ run: 'true' }]\n"): string {
  return `name: test\njobs:\n${jobs}`;
}

function link(plan: WorkflowPlan, files: Record<string, string>): WorkflowPlan {
  const linker = new CallLinker((path) => {
    const yaml = files[path.replace(".shipfox/workflows/", "")];
    const read = yaml === undefined ? undefined : parseWorkflow(yaml);
    return read?.ok ? { ok: true, plan: read.model } : read;
  });
  const linked = linker.link(plan, null);
  if (!linked.ok) throw new Error(JSON.stringify(linked.diagnostics));
  return linked.plan;
}
