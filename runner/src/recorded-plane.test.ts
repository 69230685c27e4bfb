import { randomUUID } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeLogRecords } from "@shipfox/shared/log-records";
import { createLogger } from "@shipfox/shared/logger";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControlPlaneClient } from "./control-plane/client.ts";
import { type PlaneAnswer, StandInLog, StandInPlane } from "./control-plane/stand-in-plane.fixture.ts";
import { Daemon } from "./daemon.ts";
import type { Guard } from "./guard/guard-process.ts";
import { startTestGuard } from "./guard/test-guard.fixture.ts";
import { DiskWatch } from "./disk/disk-watch.ts";
import { Monitor } from "./operate/monitor.ts";
import { register } from "./registration.ts";
import { HostProvider } from "./sandbox/host/host-provider.ts";
import { StateFolder } from "./state-folder.ts";
import { Mirrors } from "./workspace/mirror.ts";

const RECORDINGS = new URL("../../e2e/fixtures/wire/", import.meta.url);
const MRT = `sf_mrt_${"a".repeat(43)}`;
const logger = createLogger("test", "silent");

interface Exchange {
  readonly request: { readonly path: string; readonly body: { readonly status?: string; readonly exit_code?: number } };
  readonly response: { readonly status: number; readonly body: unknown };
}

/**
 * A control plane that answers exactly what the published one was recorded to answer, in that order: no long poll, no lease
 * terms, no first step with the claim, no routes of ours. The lengths of logs are those of the log that was sent, and a
 * heartbeat where none was recorded is answered as in the recording of a cancel, but without one.
 */
class RecordedPlane {
  readonly reports: { status: string; exit_code: number | null }[] = [];
  readonly recordedReports: { status: string; exit_code: number | null }[] = [];
  readonly logs = new Map<string, StandInLog>();
  readonly over: Promise<void>;
  readonly #answers = new Map<string, Exchange["response"][]>();

  constructor(plane: StandInPlane, name: string) {
    const text = readFileSync(new URL(`${name}.jsonl`, RECORDINGS), "utf8");
    for (const line of text.split("\n").filter((content) => content !== "")) this.#keep(JSON.parse(line) as Exchange);
    const over = Promise.withResolvers<void>();
    this.over = over.promise;
    const lastStep = Promise.withResolvers<void>();
    plane.on(/./, async (request) => {
      const kind = kindOf(request.path);
      if (kind === "heartbeat") {
        const recorded = this.#answers.get(kind)?.[0];
        if (recorded === undefined) return { status: 200, json: { cancel: false, lease_token: "<jwt>" } };
        // It was sent 10 s after the claim, when the last step ran.
        await lastStep.promise;
        return { status: recorded.status, json: recorded.body };
      }
      if (kind === "logs") return this.#append(request.path.split("/")[5] as string, request);
      if (kind === "report") this.reports.push(resultOf(JSON.parse(request.body.toString())));
      const answer = this.#answers.get(kind)?.shift();
      if (kind === "next" && this.#answers.get(kind)?.length === 0) lastStep.resolve();
      if (kind === "request" && answer?.status !== 200 && this.#answers.get("next")?.length === 0) over.resolve();
      if (answer === undefined)
        return kind === "request" ? { status: 204 } : { status: 404, json: { code: "not-found" } };
      return answer.body === "" || answer.body === null
        ? { status: answer.status }
        : { status: answer.status, json: answer.body };
    });
  }

  get output(): string {
    const content = [...this.logs.values()].map((log) => log.content.toString()).join("");
    return decodeLogRecords(content)
      .map((record) => (record.type === "output" ? record.data : ""))
      .join("");
  }

  #keep({ request, response }: Exchange): void {
    const kind = kindOf(request.path);
    if (kind === "report") this.recordedReports.push(resultOf(request.body));
    this.#answers.set(kind, [...(this.#answers.get(kind) ?? []), response]);
  }

  #append(stepId: string, request: { query: URLSearchParams; body: Buffer }): PlaneAnswer {
    const log = this.logs.get(stepId) ?? new StandInLog();
    this.logs.set(stepId, log);
    return log.append(Number(request.query.get("offset")), request.body);
  }
}

function kindOf(path: string): string {
  return path.split("?")[0]?.split("/").at(-1) ?? "";
}

function resultOf({ status, exit_code }: { status?: string; exit_code?: number | null }) {
  return { status: status ?? "", exit_code: exit_code ?? null };
}

let root: string;
let plane: StandInPlane;
let client: ControlPlaneClient;
let guard: Guard;
let provider: HostProvider;
let daemon: Daemon;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "shipfox-recorded-"));
  chmodSync(root, 0o711);
  plane = new StandInPlane();
  await plane.start();
  client = new ControlPlaneClient({ baseUrl: plane.url });
  guard = await startTestGuard({ baseUrl: plane.url });
  provider = new HostProvider({ workRoot: join(root, "work"), runnerId: randomUUID(), logger, lifelines: guard });
  await provider.prepare();
  const state = StateFolder.open(join(root, "state"));
  const registration = {
    client,
    state,
    apiUrl: plane.url,
    registrationToken: MRT,
    labels: ["linux"],
    name: "r1",
    logger,
  };
  daemon = new Daemon({
    client,
    logger,
    monitor: new Monitor({ labels: ["linux"], concurrency: 1 }),
    onReady: () => {},
    onSession: () => {},
    onClaim: () => {},
    idleLimitMs: null,
    drainTimeoutMs: 60_000,
    register: (signal) => register({ ...registration, capabilities: provider.capabilities }, signal),
    job: {
      keeper: guard,
      provider,
      mirrors: new Mirrors({
        mirrorFolder: state.mirrors,
        folder: state.gitAccess,
        allowedProtocols: "file",
        submoduleHosts: [],
        proxyEnv: {},
        caBundleFile: null,
      }),
      spoolFolder: state.spool,
      spoolMaxBytes: 64 * 1024 * 1024,
      runnerName: "r1",
      capabilities: provider.capabilities,
      cancelGraceMs: 5_000,
      outageLimitMs: 60_000,
      hooks: { preJob: null, postJob: null, timeoutMs: 10_000 },
      disk: new DiskWatch({
        floor: { bytes: 0, inodes: 0 },
        limitBytes: null,
        paths: () => provider.diskPaths(),
        intervalMs: 50,
        logger,
      }),
    },
  });
});

afterEach(async () => {
  daemon.kill();
  client.close();
  await plane.stop();
  await provider.close();
  await guard.close();
  rmSync(root, { recursive: true, force: true });
});

describe("our runner with a control plane of the published protocol", () => {
  it.each([
    ["runner-success", "hello\n"],
    ["runner-failing-step", "before\n"],
  ])("does the recorded jobs of %s with the recorded results", async (name, output) => {
    const recorded = new RecordedPlane(plane, name);
    const running = daemon.run();
    await recorded.over;
    daemon.drain("test");
    expect(await running).toBe(0);
    expect(recorded.reports).toEqual(recorded.recordedReports);
    expect(recorded.output).toContain(output);
  });

  it("kills the job that a recorded heartbeat cancels, and reports nothing of it", async () => {
    const recorded = new RecordedPlane(plane, "runner-cancel");
    expect(await daemon.run()).toBe(0);
    expect(recorded.reports).toEqual(recorded.recordedReports);
  });
});
