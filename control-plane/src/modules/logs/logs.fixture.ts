import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@shipfox/shared/ids";
import { encodeLogRecord } from "@shipfox/shared/log-records";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import { build } from "../../store/build.ts";
import type { Store, Tx } from "../../store/store.ts";
import { type LogSettings, Logs } from "./logs.ts";
import type { StreamRef } from "./model.ts";

export const MIB = 1024 * 1024;
export const SETTINGS: LogSettings = {
  budgetBaseBytes: 32 * MIB,
  budgetPerMinuteBytes: MIB,
  closeGraceMs: 120_000,
  archiveAfterMs: 600_000,
  retentionMs: 90 * 86_400_000,
};
export const silent = pino({ level: "silent" });

/** A folder that is gone after the test. */
export async function testFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "shipfox-logs-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Wall time that a test moves. */
export class TestClock {
  time = 1_790_000_000_000;
  now(): number {
    return this.time;
  }
  monotonic(): number {
    return this.time;
  }
}

export interface TestLogs {
  logs: Logs;
  clock: TestClock;
  dir: string;
  /** When the lease of an execution ended. */
  leaseEnds: Map<string, number>;
  /** What a process started after a crash would see. */
  restart: () => Promise<Logs>;
}

export async function openLogs(store: Store, settings: Partial<LogSettings> = {}): Promise<TestLogs> {
  const dir = await testFolder();
  const clock = new TestClock();
  const leaseEnds = new Map<string, number>();
  const open: Logs[] = [];
  const start = async (): Promise<Logs> => {
    const logs = new Logs({
      store,
      clock,
      log: silent,
      dir,
      settings: { ...SETTINGS, ...settings },
      leaseEndedAt: async (_tx: Tx, executionId: string) => leaseEnds.get(executionId) ?? null,
    });
    open.push(logs);
    await logs.recover();
    return logs;
  };
  onTestFinished(async () => {
    await Promise.all(open.map((logs) => logs.close()));
  });
  return { logs: await start(), clock, dir, leaseEnds, restart: start };
}

/** A run with one job execution that has `steps` steps; answers the first attempt of each. */
export async function seedSteps(store: Store, steps = 1, status = "running"): Promise<StreamRef[]> {
  const now = 1_790_000_000_000;
  const [workspace_id, connection_id, project_id, definition_id, run_id, run_attempt_id, job_id, job_execution_id] =
    Array.from({ length: 8 }, () => newId()) as [string, string, string, string, string, string, string, string];
  const stepIds = Array.from({ length: steps }, () => newId());
  const times = { created_at: now, updated_at: now };
  await store.write(async (tx) => {
    await tx.exec(
      build
        .insertInto("workspaces")
        .values({ id: workspace_id, name: "w", slug: workspace_id, status: "active", last_event: 0, ...times }),
    );
    await tx.exec(
      build.insertInto("connections").values({
        id: connection_id,
        workspace_id,
        provider: "git",
        external_account_id: "x",
        slug: "git",
        display_name: "git",
        lifecycle_status: "active",
        settings: "{}",
        ...times,
      }),
    );
    await tx.exec(
      build.insertInto("projects").values({
        id: project_id,
        workspace_id,
        name: "p",
        slug: "p",
        connection_id,
        external_repository_id: "r",
        default_branch: "main",
        untrusted_secrets: 0,
        ...times,
      }),
    );
    await tx.exec(
      build.insertInto("definitions").values({
        id: definition_id,
        workspace_id,
        project_id,
        source: "api",
        name: "d",
        yaml: "",
        document: "{}",
        model: "{}",
        last_run_number: 1,
        fetched_at: now,
        ...times,
      }),
    );
    await tx.exec(
      build.insertInto("runs").values({
        id: run_id,
        workspace_id,
        project_id,
        definition_id,
        number: 1,
        name: "r",
        workflow_name: "d",
        status: "running",
        current_attempt: 1,
        trigger_source: "manual",
        trigger_event: "fire",
        trigger_payload: "{}",
        source_yaml: "",
        untrusted: 0,
        trigger_depth: 0,
        ...times,
      }),
    );
    await tx.exec(
      build
        .insertInto("run_attempts")
        .values({ id: run_attempt_id, run_id, attempt: 1, status: "running", created_at: now }),
    );
    await tx.exec(
      build.insertInto("jobs").values({
        id: job_id,
        workspace_id,
        project_id,
        run_id,
        run_attempt_id,
        key: "j",
        position: 0,
        status: "running",
        needs: "[]",
        node: "j",
        stage: "going",
        has_condition: 0,
        labels: "[]",
        model: "{}",
        infrastructure_retries: 0,
        ...times,
      }),
    );
    await tx.exec(
      build.insertInto("job_executions").values({
        id: job_execution_id,
        workspace_id,
        project_id,
        run_id,
        run_attempt_id,
        job_id,
        sequence: 1,
        name: "j",
        status: "running",
        ...times,
      }),
    );
    for (const [position, id] of stepIds.entries()) {
      await tx.exec(
        build.insertInto("steps").values({
          id,
          job_execution_id,
          name: "s",
          position,
          type: "run",
          status,
          config: "{}",
          current_attempt: 1,
          ...times,
        }),
      );
    }
  });
  return stepIds.map((stepId) => ({
    workspaceId: workspace_id,
    runId: run_id,
    executionId: job_execution_id,
    stepId,
    attempt: 1,
  }));
}

export async function seedStep(store: Store, status?: string): Promise<StreamRef> {
  const [stream] = await seedSteps(store, 1, status);
  if (!stream) throw new Error("no step");
  return stream;
}

/** One output record that says `text`. */
export function output(text: string, stream: "stdout" | "stderr" = "stdout"): Buffer {
  return Buffer.from(encodeLogRecord({ v: 1, ts: 1_790_000_000_000, type: "output", stream, data: text }));
}

export function endRecord(): Buffer {
  return Buffer.from(encodeLogRecord({ v: 1, ts: 1_790_000_000_000, type: "end", total_bytes: 0 }));
}

/** A record that fills exactly `bytes`, at least 100 of them. */
export function filler(bytes: number): Buffer {
  const missing = bytes - output("x").length + 1;
  return output("x".repeat(missing));
}

export function textOf(...chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString();
}
